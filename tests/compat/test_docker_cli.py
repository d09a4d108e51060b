"""The same session with the docker client on dockerd and on our engine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.compat.differences import DIFFERENCES, PAGE, page
from tests.compat.session import Mismatch, Step, compare, run_session, step_names
from tests.corpus.pusher import HELLO, push
from tests.corpus.shelf import Shelf
from tests.support.dockerd import running_dockerd
from tests.support.engine import EngineUnderTest
from tests.support.registry import running_registry

_ROOT = Path(__file__).parents[2]
# Of dockerd's default bridge: none of those that ours chooses from first.
_SUBNET = "172.31.76.1/24"

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.needs_overlay,
    pytest.mark.needs_registry,
    pytest.mark.needs_busybox,
    pytest.mark.needs_docker_cli,
    pytest.mark.needs_dockerd,
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def sessions(
    tmp_path_factory: pytest.TempPathFactory, known_containers: set[str]
) -> Iterator[tuple[dict[str, Step], dict[str, Step]]]:
    """Dockerd's session and ours, run at the same time against one registry."""
    folder = tmp_path_factory.mktemp("compat")
    with running_registry(folder / "registry") as registry:
        shelf = Shelf(folder / "corpus")
        for name in (HELLO, "busybox"):
            push(registry.address, name, shelf)
        ours = EngineUnderTest(mirrors=[registry.url])
        try:
            ours.start()
            with (
                running_dockerd([registry.url], subnet=_SUBNET) as theirs,
                ThreadPoolExecutor(2) as pool,
            ):
                runs = [
                    pool.submit(run_session, engine.address, registry.address)
                    for engine in (theirs, ours)
                ]
                yield runs[0].result(), runs[1].result()
        finally:
            known_containers |= set(ours.container_ids())
            ours.close()


@pytest.fixture(scope="module")
def mismatches(sessions: tuple[dict[str, Step], dict[str, Step]]) -> list[Mismatch]:
    return compare(*sessions)


def test_session_ran_to_its_end_on_both(
    sessions: tuple[dict[str, Step], dict[str, Step]],
) -> None:
    assert list(sessions[0]) == list(sessions[1]) == step_names()


def test_every_difference_is_a_known_one(mismatches: list[Mismatch]) -> None:
    unknown = [
        f"--- {found.step}: {found.field}\ndockerd:\n{found.theirs}\ndockerlab:\n{found.ours}"
        for found in mismatches
        if found.step not in DIFFERENCES or found.field not in DIFFERENCES[found.step].fields
    ]
    assert not unknown, "\n".join(unknown)


def test_every_known_difference_is_still_there(mismatches: list[Mismatch]) -> None:
    found = {(mismatch.step, mismatch.field) for mismatch in mismatches}
    listed = {
        (step, field)
        for step, known in DIFFERENCES.items()
        if not known.is_dated
        for field in known.fields
    }
    assert listed <= found, f"no longer true: {sorted(listed - found)}"


def test_exec_of_a_missing_program_ends_with_127(
    sessions: tuple[dict[str, Step], dict[str, Step]],
) -> None:
    # Listed as a difference from dockerd 20.10, so this one is looked at by itself.
    assert sessions[1]["exec_not_found"].exit == "127\n"


def test_page_lists_the_differences() -> None:
    written = (_ROOT / PAGE).read_text(encoding="utf-8")
    assert written == page(len(step_names())), "run: python -m tests.compat"
