"""One zygote for each module of the runtime's tests, and boxes closed behind each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.runtime.launch import Zygote
from tests.support.boxes import Boxes, running_zygote


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here makes a container."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for marker in ("needs_root", "needs_namespaces", "needs_overlay", "needs_busybox"):
                item.add_marker(marker)


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    log = tmp_path_factory.mktemp("zygote") / "log"
    with running_zygote(log) as running:
        yield running
    assert log.read_text() == ""


@pytest.fixture
def boxes(zygote: Zygote, tmp_path: Path, known_containers: set[str]) -> Iterator[Boxes]:
    made = Boxes(zygote, tmp_path, known_containers)
    yield made
    made.close()
