"""Layers merged into one folder, by their own marks."""

import os
from pathlib import Path

from dockerlab.image.layer.merging import merge_layers

OPAQUE = ".wh..wh..opq"


def layer(folder: Path, files: dict[str, str]) -> str:
    """Make a layer; an empty name's end is a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(text)
    return str(folder)


def merged(tmp_path: Path, *layers: dict[str, str]) -> dict[str, str]:
    folders = [layer(tmp_path / f"layer{n}", files) for n, files in enumerate(layers)]
    target = tmp_path / "target"
    target.mkdir()
    merge_layers(folders, str(target))
    return {
        str(path.relative_to(target)): path.read_text()
        for path in target.rglob("*")
        if path.is_file()
    }


def test_an_upper_file_replaces_a_lower_one_of_any_kind(tmp_path: Path) -> None:
    lower = {"a": "1", "b/c": "1", "d": "1"}
    assert merged(tmp_path, lower, {"a": "2", "b": "2", "d/e": "2"}) == {
        "a": "2",
        "b": "2",
        "d/e": "2",
    }


def test_marks_hide_what_is_below_and_never_their_own_layer(tmp_path: Path) -> None:
    lower = {"a": "1", "b/c": "1", "b/d": "1", "e/f": "1", "g/h": "1"}
    upper = {".wh.a": "", f"b/{OPAQUE}": "", "b/c": "2", ".wh.e": "", "e/i": "2", ".wh.none": ""}
    assert merged(tmp_path, lower, upper) == {"b/c": "2", "e/i": "2", "g/h": "1"}


def test_modes_times_links_fifos_and_holes_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "layer"
    layer(source, {"d/file": "x", "d/other": "x"})
    os.link(source / "d/file", source / "second")
    (source / "link").symlink_to("/etc/passwd")
    os.mkfifo(source / "fifo")
    with (source / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
        sparse.seek(1 << 20)
        sparse.write(b"data")
    (source / "d/file").chmod(0o640)
    os.utime(source / "d/file", ns=(5, 5))
    (source / "d").chmod(0o750)
    os.utime(source / "d", ns=(7, 7))
    target = tmp_path / "target"
    target.mkdir()

    merge_layers([str(source)], str(target))

    assert (target / "d").stat().st_mode & 0o7777 == 0o750
    assert (target / "d").stat().st_mtime_ns == 7
    file = (target / "d/file").stat()
    assert (file.st_mode & 0o7777, file.st_mtime_ns, file.st_nlink) == (0o640, 5, 2)
    assert (target / "second").stat().st_ino == file.st_ino != (source / "second").stat().st_ino
    assert (target / "link").readlink() == Path("/etc/passwd")
    assert (target / "fifo").is_fifo()
    sparse_status = (target / "sparse").stat()
    assert sparse_status.st_size == 1 << 30
    assert sparse_status.st_blocks * 512 < 1 << 22
    assert os.pread(os.open(target / "sparse", os.O_RDONLY), 4, 1 << 20) == b"data"


def test_no_link_of_a_lower_layer_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    layer(outside, {"kept": "kept"})
    lower = tmp_path / "lower"
    lower.mkdir()
    (lower / "d").symlink_to(outside)
    upper = layer(tmp_path / "upper", {"d/kept": "changed", f"d/{OPAQUE}": ""})
    target = tmp_path / "target"
    target.mkdir()

    merge_layers([str(lower), upper], str(target))

    assert (outside / "kept").read_text() == "kept"
    assert not (target / "d").is_symlink()
    assert (target / "d/kept").read_text() == "changed"
