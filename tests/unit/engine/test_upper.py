"""What an upper folder says against the layers below it, on real folders with real marks."""

import os
import stat
from pathlib import Path

import pytest

from dockerlab.engine.upper import ADDED, DELETED, MODIFIED, list_changes

pytestmark = pytest.mark.needs_root


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    made = (tmp_path / "upper", tmp_path / "high", tmp_path / "low")
    for folder in made:
        folder.mkdir()
    return made


def changes(folders: tuple[Path, Path, Path]) -> list[tuple[str, int]]:
    upper, *lower = map(str, folders)
    return list_changes({"lower": lower, "upper": upper, "work": ""})


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, 0)


def opaque(path: Path) -> None:
    os.setxattr(path, "trusted.overlay.opaque", b"y")


def test_new_changed_and_deleted(folders: tuple[Path, Path, Path]) -> None:
    upper, high, low = folders
    (low / "deep").mkdir()
    (low / "deep" / "gone").touch()
    (high / "kept").touch()
    (upper / "kept").touch()
    (upper / "new").mkdir()
    (upper / "deep").mkdir()
    whiteout(upper / "deep" / "gone")
    assert changes(folders) == [
        ("/deep", MODIFIED),
        ("/deep/gone", DELETED),
        ("/kept", MODIFIED),
        ("/new", ADDED),
    ]


def test_what_a_layer_has_deleted_is_new_again(folders: tuple[Path, Path, Path]) -> None:
    upper, high, low = folders
    (low / "file").touch()
    whiteout(high / "file")
    (upper / "file").touch()
    (low / "folder").mkdir()
    (low / "folder" / "old").touch()
    (high / "folder").mkdir()
    opaque(high / "folder")
    (upper / "folder").mkdir()
    (upper / "folder" / "old").touch()
    assert changes(folders)[-1] == ("/folder/old", ADDED)
    assert ("/file", ADDED) in changes(folders)


def test_a_folder_made_anew_hides_what_was_in_it(folders: tuple[Path, Path, Path]) -> None:
    upper, high, low = folders
    for folder, name in ((low, "a"), (high, "b")):
        (folder / "x").mkdir()
        (folder / "x" / name).touch()
    (upper / "x").mkdir()
    opaque(upper / "x")
    (upper / "x" / "b").touch()
    assert changes(folders) == [("/x", MODIFIED), ("/x/a", DELETED), ("/x/b", ADDED)]


def test_the_engines_mount_points_are_no_changes(folders: tuple[Path, Path, Path]) -> None:
    upper, _, low = folders
    (low / "etc").mkdir()
    (upper / "etc").mkdir()
    (upper / "etc" / "hosts").touch()
    (upper / "proc").mkdir()
    assert changes(folders) == []
    (upper / "etc" / "own").touch()
    assert changes(folders) == [("/etc", MODIFIED), ("/etc/own", ADDED)]


def test_links_are_not_followed(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    upper, _, low = folders
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (low / "way").symlink_to(tmp_path / "outside")
    (upper / "way").mkdir()
    (upper / "way" / "file").touch()
    assert changes(folders) == [("/way", MODIFIED), ("/way/file", ADDED)]
