"""The probe on dockerd and on our engine, as root and without; every difference is a known one."""

from contextlib import closing
from pathlib import Path

import docker
import pytest

from tests.isolation.differences import BOTH, DIFFERENCES, PAGE, ROOTFUL, ROOTLESS, page
from tests.isolation.inside import CALLS
from tests.isolation.measuring import FACTS, Facts, differing, measure, push_probe
from tests.support.accounts import unprivileged_account
from tests.support.dockerd import running_dockerd
from tests.support.engine import EngineUnderTest
from tests.support.registry import running_registry

_ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.needs_overlay,
    pytest.mark.needs_cgroup,
    pytest.mark.needs_registry,
    pytest.mark.needs_rootless,
    pytest.mark.needs_newuidmap,
    pytest.mark.needs_dockerd,
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Facts]:
    """What the probe found, by where it ran; dockerd's is under its own name."""
    found: dict[str, Facts] = {}
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        push_probe(registry.address)
        found[ROOTFUL] = _ours(EngineUnderTest(mirrors=[registry.url]))
        with unprivileged_account(has_sub_ids=True) as account:
            found[ROOTLESS] = _ours(EngineUnderTest(mirrors=[registry.url], account=account))
        with (
            running_dockerd([registry.url]) as theirs,
            closing(docker.DockerClient(base_url=theirs.address, version="1.41")) as client,
        ):
            found["dockerd"] = measure(client)
    return found


def _ours(engine: EngineUnderTest) -> Facts:
    try:
        engine.start()
        return measure(engine.connect())
    finally:
        engine.close()


@pytest.mark.parametrize("tier", BOTH)
def test_every_difference_from_dockerd_is_a_known_one(facts: dict[str, Facts], tier: str) -> None:
    unknown = [
        f"{name}: dockerd {theirs!r}, dockerlab {ours!r}"
        for name, (theirs, ours) in differing(facts["dockerd"], facts[tier]).items()
        if name not in DIFFERENCES or tier not in DIFFERENCES[name].tiers
    ]
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("tier", BOTH)
def test_every_known_difference_is_still_there(facts: dict[str, Facts], tier: str) -> None:
    found = differing(facts["dockerd"], facts[tier])
    gone = [
        name
        for name, known in DIFFERENCES.items()
        if tier in known.tiers and not known.is_passing and name not in found
    ]
    assert not gone


def test_limits_bite(facts: dict[str, Facts]) -> None:
    assert facts[ROOTFUL]["fork bomb"].startswith("held at")
    assert facts[ROOTFUL]["too much memory"] == "exit 137, OOMKilled True"


def test_the_page_is_current(facts: dict[str, Facts]) -> None:
    assert len(facts[ROOTFUL]) == FACTS
    assert (_ROOT / PAGE).read_text(encoding="utf-8") == page(FACTS, len(CALLS)), (
        "write it again with: python -m tests.isolation"
    )
