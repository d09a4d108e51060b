"""The runtime on Debian's own kernel: cgroup v2 alone, AppArmor, a user with delegated controllers.

The machine boots once and runs all of `CHOSEN`, which is what of the suite is about the kernel and
not too slow when every instruction is emulated; each module of it is a test here.
"""

import faulthandler
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import pytest

from tests.kernels.machine import Machine

TIMEOUT_S = 600.0

pytestmark = [
    pytest.mark.needs_machine,
    pytest.mark.needs_root,
    pytest.mark.needs_busybox,
    pytest.mark.timeout(TIMEOUT_S + 60),  # the first test boots
]

CHOSEN = {
    "integration.runtime.test_isolation": [],
    "integration.runtime.test_lifecycle": [
        # Seconds of pure computing, or of starting Python.
        "test_a_cpu_quota_throttles",
        "test_another_interpreter_runs_the_zygote_too",
        "test_a_dead_zygote_refuses_jobs",
        "test_an_unknown_job_closes_its_descriptors_and_others_go_on",
    ],
    "integration.test_unified": [],
    "integration.test_apparmor": [],
    "unit.runtime.cgroups.test_trees": ["[1]", "test_only_the_needed_hierarchies_are_joined"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """What the machine said."""

    failure: str
    console: str
    output: str
    cases: list[ET.Element]


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Booted:
    # This takes minutes, and is no hang: the machine has a time limit of its own.
    faulthandler.cancel_dump_traceback_later()
    machine = Machine(tmp_path_factory.mktemp("machine"))
    failure = machine.run(_arguments(), TIMEOUT_S)
    results = machine.results
    return Booted(
        failure=failure,
        console=machine.console,
        output=machine.output,
        cases=list(ET.fromstring(results).iter("testcase")) if results else [],
    )


def test_the_machine_boots_runs_the_tests_and_powers_off(booted: Booted) -> None:
    told = f"{booted.output[-20_000:]}\n--- console\n{booted.console[-4_000:]}"
    assert booted.failure == "", f"{booted.failure}\n{told}"
    assert booted.cases, f"no test ran in the machine\n{told}"


@pytest.mark.parametrize("module", CHOSEN)
def test_what_is_true_here_is_true_on_debians_kernel(booted: Booted, module: str) -> None:
    cases = [case for case in booted.cases if case.get("classname") == f"tests.{module}"]
    assert cases, f"no test of {module} ran in the machine"
    bad = [
        f"{case.get('name')}: {result.tag}: {result.get('message')}\n{result.text}"
        for case in cases
        for result in case
        if result.tag in {"failure", "error", "skipped"}
    ]
    assert not bad, "\n\n".join(bad)


def _arguments() -> list[str]:
    """Return pytest's arguments: whole modules, without the tests that are left out."""
    left_out = [name for names in CHOSEN.values() for name in names]
    files = [f"tests/{module.replace('.', '/')}.py" for module in CHOSEN]
    return [*files, "-k", " and ".join(f"not {name}" for name in left_out)]
