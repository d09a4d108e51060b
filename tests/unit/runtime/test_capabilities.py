import os
from pathlib import Path

import pytest

from dockerlab.kernel import privileges
from dockerlab.runtime import capabilities
from dockerlab.runtime.defaults import DEFAULT_CAPABILITIES
from tests.support.filters import in_child

DOCKER_MASK = 0xA80425FB


def sets_of_this_process() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return {line[3:6]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}


def test_the_default_set_is_the_mask_that_docker_users_know() -> None:
    assert capabilities.to_mask(DEFAULT_CAPABILITIES) == DOCKER_MASK


def test_masks_and_names_are_each_others_inverse() -> None:
    assert capabilities.names_of(capabilities.to_mask(capabilities.NAMES)) == list(
        capabilities.NAMES
    )


def test_an_unknown_name_has_no_mask() -> None:
    with pytest.raises(ValueError, match='unknown capability: "CAP_NONSENSE"'):
        capabilities.to_mask(["CAP_NONSENSE"])


def test_names_reach_as_far_as_this_kernel() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    assert len(capabilities.NAMES) >= last + 1


def test_available_are_those_that_proc_tells() -> None:
    sets = sets_of_this_process()
    assert capabilities.to_mask(capabilities.available()) == sets["Prm"] & sets["Bnd"]


def test_capget_tells_what_proc_tells() -> None:
    sets = sets_of_this_process()
    assert privileges.capget() == (sets["Eff"], sets["Prm"], sets["Inh"])


def give_up(uid: int, **sets: list[str]) -> dict[str, int]:
    names = list(DEFAULT_CAPABILITIES)
    capabilities.limit_bounding(names)
    if uid:
        capabilities.keep_across_setuid()
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    capabilities.apply({"bounding": names, "effective": names, "permitted": names, **sets})  # type: ignore[typeddict-item]
    return sets_of_this_process()


@pytest.mark.needs_root
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_process_keeps_exactly_what_it_is_given(uid: int) -> None:
    def act() -> str:
        return str(give_up(uid))

    expected = {"Inh": 0, "Prm": DOCKER_MASK, "Eff": DOCKER_MASK, "Bnd": DOCKER_MASK, "Amb": 0}
    assert in_child(act) == str(expected)


@pytest.mark.needs_root
def test_the_effective_set_may_be_smaller() -> None:
    def act() -> str:
        return f"{give_up(1000, effective=[])['Eff']:x}"

    assert in_child(act) == "0"


@pytest.mark.needs_root
def test_ambient_capabilities_are_raised_when_the_spec_names_them() -> None:
    def act() -> str:
        names = ["CAP_CHOWN", "CAP_KILL"]
        return f"{give_up(1000, inheritable=names, ambient=names)['Amb']:x}"

    assert in_child(act) == "21"


@pytest.mark.needs_root
def test_without_keeping_a_new_user_has_nothing_to_apply() -> None:
    def act() -> str:
        os.setresuid(1000, 1000, 1000)
        capabilities.apply({"bounding": [], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"]})
        return "kept"

    assert "PermissionError" in in_child(act)


@pytest.mark.needs_root
def test_a_dropped_capability_cannot_come_back_by_execve() -> None:
    def act() -> str:
        import subprocess

        give_up(0)
        command = ["grep", "CapEff", "/proc/self/status"]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    assert in_child(act).split()[1].endswith("a80425fb")
