import os
import tempfile
from pathlib import Path

import pytest

from dockerlab.image.layer.removal import remove_at, remove_tree
from tests.support.descriptors import count_descriptors
from tests.support.filters import in_child

_NOBODY = 65_534


def test_everything_goes_and_nothing_beside_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"x")
    tree = tmp_path / "tree"
    (tree / "a/b/c").mkdir(parents=True)
    (tree / "a/b/file").write_bytes(b"x")
    (tree / "a/link").symlink_to(outside)
    (tree / "empty").mkdir()
    os.mkfifo(tree / "fifo")
    remove_tree(str(tree))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "outside"]


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    remove_tree(str(tmp_path / "link"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_tree_deeper_than_any_path_goes(tmp_path: Path) -> None:
    before = count_descriptors()
    parent = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=parent)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=parent))
        child = os.open("d", os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = child
    os.close(parent)
    remove_tree(str(tmp_path / "d"))
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert count_descriptors() == before


def test_what_is_not_there_is_an_error_only_for_remove_at(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "nothing"))
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileNotFoundError):
            remove_at(fd, b"nothing")
    finally:
        os.close(fd)


@pytest.mark.needs_root
def test_folders_that_shut_out_their_owner_are_removed() -> None:
    # Not pytest's own folder: others may not pass through its parents.
    with tempfile.TemporaryDirectory(prefix="dl-removal-") as base:
        folder = Path(base) / "top"
        (folder / "a/b/c").mkdir(parents=True)
        (folder / "a/b/c/file").touch()
        for path, mode in (("a/b/c", 0), ("a/b", 0o500), ("a", 0), (".", 0o700), ("..", 0o700)):
            os.chown(folder / path, _NOBODY, _NOBODY)
            (folder / path).chmod(mode)

        def act() -> str:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
            remove_tree(str(folder))
            return "removed"

        assert in_child(act) == "removed"
        assert not folder.exists()
