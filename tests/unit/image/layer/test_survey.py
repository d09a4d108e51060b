import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerlab.image.layer.survey import survey


@pytest.fixture(autouse=True)
def _here() -> Iterator[None]:
    before = os.open(".", os.O_RDONLY)
    yield
    os.fchdir(before)
    os.close(before)


def look(folder: Path, *layers: dict[str, int | str]) -> dict[str, Any]:
    """Survey layers: names with sizes; ``->`` names one more name of a file; a slash is a folder.

    Without privileges marks are files of the archive's own names.
    """
    made = []
    for number, files in enumerate(layers):
        top = folder / str(number)
        for name, size in files.items():
            path = top / name
            (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
            if isinstance(size, str):
                os.link(top / size, path)
            elif not name.endswith("/"):
                path.write_bytes(bytes(size))
        made.append(str(top))
    return survey(made, has_archive_marks=True)


def counts(found: dict[str, Any]) -> list[tuple[int, ...]]:
    keys = ("added", "changed", "deleted", "bytes", "wasted_bytes")
    return [tuple(layer[key] for key in keys) for layer in found["layers"]]


def test_added_changed_and_deleted_files_are_told_apart(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {"a": 10, "d/b": 20, "d/c": 30},
        {"a": 1, "d/.wh.b": 0, "new": 5},
        {"a": 2},
    )
    assert counts(found) == [(3, 0, 0, 60, 30), (1, 1, 1, 6, 1), (0, 1, 0, 2, 0)]
    assert found["wasted"] == [{"path": "/d/b", "bytes": 20}, {"path": "/a", "bytes": 11}]


def test_an_opaque_folder_deletes_what_it_does_not_have_again(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {"d/a": 1, "d/e/b": 2, "d/e/c": 4, "d/f/g": 8},
        {"d/.wh..wh..opq": 0, "d/a": 16, "d/e/c": 32, "d/e/h": 64},
    )
    # b and g are gone, a and c are other files now.
    assert counts(found) == [(4, 0, 0, 15, 15), (1, 2, 2, 112, 0)]


def test_a_folder_deleted_and_made_again_is_opaque(tmp_path: Path) -> None:
    found = look(tmp_path, {"d/a": 1, "d/b": 2}, {".wh.d": 0, "d/a": 4})
    assert counts(found)[1] == (0, 1, 1, 4, 0)


def test_a_file_of_several_names_is_wasted_with_the_last(tmp_path: Path) -> None:
    assert counts(look(tmp_path / "1", {"a": 9, "b": "a"}, {".wh.a": 0}))[0] == (2, 0, 0, 9, 0)
    assert counts(look(tmp_path / "2", {"a": 9, "b": "a"}, {".wh.a": 0, "b": 1}))[0][4] == 9


def test_kinds_may_change(tmp_path: Path) -> None:
    found = look(tmp_path, {"d/a": 1, "d/b": 2, "f": 4}, {"d": 8, "f/x": 16})
    assert counts(found) == [(3, 0, 0, 7, 7), (2, 0, 3, 24, 0)]


def test_empty_folders_and_marks_of_nothing_count_nothing(tmp_path: Path) -> None:
    found = look(tmp_path, {"d/": 0}, {"d/": 0, ".wh.gone": 0, "e/.wh..wh..opq": 0})
    assert counts(found) == [(0, 0, 0, 0, 0)] * 2


def test_a_layer_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        survey([str(tmp_path / "none")], has_archive_marks=False)


@pytest.mark.needs_root
def test_the_marks_of_overlayfs_are_read(tmp_path: Path) -> None:
    for name in ("0/a", "0/d/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"xx")
    (tmp_path / "1/d").mkdir(parents=True)
    os.mknod(tmp_path / "1/a", 0o020000, 0)
    os.setxattr(tmp_path / "1/d", "trusted.overlay.opaque", b"y")
    found = survey([str(tmp_path / "0"), str(tmp_path / "1")], has_archive_marks=False)
    assert counts(found) == [(2, 0, 0, 4, 4), (0, 0, 2, 0, 0)]
