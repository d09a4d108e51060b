import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.image.layer.fault import LayerFault
from dockerlab.image.layer.folders import Folders
from dockerlab.image.layer.whiteout import Overlay
from tests.support.descriptors import count_descriptors


@pytest.fixture
def folders(root: Path) -> Iterator[Folders]:
    fd = os.open(root, os.O_RDONLY)
    before = count_descriptors()
    opened = Folders(fd, Overlay())
    yield opened
    opened.close()
    assert count_descriptors() == before
    os.close(fd)


def _is(fd: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(fd), path.stat())


def test_the_same_path_gives_the_same_descriptor(folders: Folders, root: Path) -> None:
    fd, real = folders.open(b"a/b")
    assert folders.open(b"a/b") == (fd, real)
    assert real == b"a/b"
    assert _is(fd, root / "a/b")


def test_more_folders_than_descriptors_are_no_trouble(folders: Folders, root: Path) -> None:
    for number in range(500):
        fd, _ = folders.open(b"d/%d/x" % number)
        assert _is(fd, root / f"d/{number}/x")
    assert count_descriptors() < 200


def test_links_are_resolved_with_the_layer_as_root(folders: Folders, root: Path) -> None:
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("/usr/../../../usr/./lib")
    (root / "usr/again").symlink_to("../lib")
    fd, real = folders.open(b"usr/again/new")
    assert real == b"usr/lib/new"
    assert _is(fd, root / "usr/lib/new")


def test_two_ways_to_one_folder_do_not_close_each_other_s(folders: Folders, root: Path) -> None:
    (root / "a").mkdir()
    (root / "b").symlink_to("a")
    folders.open(b"b")
    folders.open(b"a")
    folders.forget()
    assert _is(folders.open(b"b")[0], root / "a")


def test_after_forget_a_path_is_looked_up_anew(folders: Folders, root: Path) -> None:
    old, _ = folders.open(b"a")
    (root / "a").rename(root / "moved")
    folders.forget()
    assert _is(old, root / "moved")
    assert _is(folders.open(b"a")[0], root / "a")


def test_forty_links_are_enough(folders: Folders, root: Path) -> None:
    (root / "l0").mkdir()
    for number in range(1, 60):
        (root / f"l{number}").symlink_to(f"l{number - 1}")
    assert folders.open(b"l40")[1] == b"l0"
    with pytest.raises(LayerFault, match="too many links"):
        folders.open(b"l59")


def test_a_file_is_no_folder(folders: Folders, root: Path) -> None:
    (root / "f").write_bytes(b"")
    with pytest.raises(LayerFault, match="not a folder"):
        folders.open(b"f/x")
