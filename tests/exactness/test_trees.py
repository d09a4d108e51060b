"""What is unpacked is what was packed: every file of an image, compared with umoci's.

The images of `tests.corpus` that take seconds; ``python -m tests.exactness`` compares all.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus.pusher import HELLO, push
from tests.corpus.shelf import Shelf
from tests.exactness.comparison import NOTED, layers_of, one_id_differences, root_differences
from tests.exactness.trees import of_layers, of_umoci
from tests.support.accounts import unprivileged_account
from tests.support.engine import EngineUnderTest
from tests.support.registry import RunningRegistry, running_registry

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_overlay,
    pytest.mark.needs_registry,
    pytest.mark.needs_busybox,
    pytest.mark.needs_skopeo,
    pytest.mark.needs_umoci,
]

CHOSEN = (HELLO, "busybox", "oddities", "layers20")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def rootful() -> Iterator[EngineUnderTest]:
    started = EngineUnderTest()
    try:
        started.start()
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def one_id() -> Iterator[EngineUnderTest]:
    with unprivileged_account(has_sub_ids=False) as account:
        started = EngineUnderTest(account=account)
        try:
            started.start()
            yield started
        finally:
            started.close()


@pytest.mark.parametrize("name", CHOSEN)
def test_as_root_the_tree_is_umoci_s(
    name: str, own_registry: RunningRegistry, rootful: EngineUnderTest, shelf: Shelf
) -> None:
    pushed = push(own_registry.address, name, shelf)
    ours = of_layers(layers_of(rootful, pushed.reference))
    assert root_differences(ours, of_umoci(pushed.reference)) == []


@pytest.mark.needs_rootless
@pytest.mark.parametrize("name", ["oddities", "busybox"])
def test_with_one_id_the_tree_is_umoci_s_up_to_owners_which_are_noted(
    name: str, own_registry: RunningRegistry, one_id: EngineUnderTest, shelf: Shelf
) -> None:
    pushed = push(own_registry.address, name, shelf)
    account = one_id.account
    assert account is not None
    ours = of_layers(layers_of(one_id, pushed.reference), is_rootless=True)
    theirs = of_umoci(pushed.reference)
    assert one_id_differences(ours, theirs, (account.uid, account.gid)) == []
    if name == "oddities":
        noted = bytes.fromhex(ours["etc/shadow"]["xattrs"][NOTED]).decode()
        assert noted == "0:42:640"


def test_a_difference_is_seen(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    ours, theirs = of_layers([tmp_path / "one"]), of_layers([tmp_path / "two"])
    lines = root_differences(ours, theirs)
    assert any(line.startswith("'file' content:") for line in lines)
    assert not any("size" in line for line in lines)
