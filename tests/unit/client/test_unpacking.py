"""Archives of a hostile container: whatever is in them, nothing is written elsewhere."""

import io
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dockerlab.client.copying import _merge, split_place
from dockerlab.client.unpacking import unpack
from dockerlab.errors import DockerlabError, InvalidArgument, NotFound


def archive(members: Sequence[tuple[str, bytes, str, int]], content: bytes = b"evil\n") -> bytes:
    """Return an archive; a member is its name, its type, what it links to, and its mode."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind, link, mode in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, link, mode
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def pieces(data: bytes, size: int = 100) -> Iterator[bytes]:
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]


FILE, LINK, HARD, DIR = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("kept\n")
    return tmp_path / "outside"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_files_folders_and_links_are_as_they_were(folder: Path) -> None:
    members = [
        ("top", DIR, "", 0o500),
        ("top/file", FILE, "", 0o4755),
        ("top/link", LINK, "/etc/passwd", 0o777),
        ("top/same", HARD, "top/file", 0o755),
        ("top/linked", HARD, "top/link", 0o755),
        ("top/pipe", tarfile.FIFOTYPE, "", 0o666),
        ("top/disk", tarfile.BLKTYPE, "", 0o666),
    ]

    assert unpack(pieces(archive(members)), folder) == "top"

    top = folder / "top"
    assert sorted(each.name for each in top.iterdir()) == ["file", "link", "linked", "same"]
    assert stat.S_IMODE(top.stat().st_mode) == 0o700
    assert stat.S_IMODE((top / "file").stat().st_mode) == 0o755
    assert {str((top / name).readlink()) for name in ("link", "linked")} == {"/etc/passwd"}
    assert (top / "same").read_text() == "evil\n"


@pytest.mark.parametrize("name", ["../outside/kept", "a/../../outside/kept", "/../outside/kept"])
def test_a_name_does_not_lead_out(folder: Path, outside: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="outside of it"):
        unpack(pieces(archive([(name, FILE, "", 0o644)])), folder)
    assert (outside / "kept").read_text() == "kept\n"


def test_an_absolute_name_is_one_inside(folder: Path) -> None:
    unpack(pieces(archive([("/etc/made-by-a-test", FILE, "", 0o644)])), folder)

    assert (folder / "etc/made-by-a-test").is_file()
    assert not Path("/etc/made-by-a-test").exists()


def test_no_write_goes_through_a_link(folder: Path, outside: Path) -> None:
    members = [
        ("top/link", LINK, str(outside), 0o777),
        ("top/link/kept", FILE, "", 0o644),
        ("top/file", LINK, str(outside / "kept"), 0o777),
        ("top/file", FILE, "", 0o644),
    ]
    unpack(pieces(archive(members)), folder)

    assert (outside / "kept").read_text() == "kept\n"
    assert (folder / "top/link").is_dir()
    assert not (folder / "top/link").is_symlink()


def test_a_hard_link_does_not_reach_out(folder: Path, outside: Path) -> None:
    with pytest.raises(InvalidArgument):
        unpack(pieces(archive([("top/x", HARD, "../outside/kept", 0o644)])), folder)
    unpack(pieces(archive([("other/x", HARD, str(outside / "kept"), 0o644)])), folder)
    assert not (folder / "other/x").exists()


@pytest.mark.parametrize(
    "data", [b"", b"x" * 2000, archive([("a", FILE, "", 0o644), ("a", FILE, "", 0o644)]),
             archive([("a", FILE, "", 0o644), ("a/b", FILE, "", 0o644)]),
             archive([("a", FILE, "", 0o644)])[:600]]
)  # fmt: skip
def test_what_is_no_archive_is_a_sentence(folder: Path, data: bytes) -> None:
    with pytest.raises(DockerlabError):
        unpack(pieces(data), folder)


def test_an_empty_archive_has_nothing(folder: Path) -> None:
    with pytest.raises(NotFound):
        unpack(pieces(archive([])), folder)


def test_a_link_that_stands_in_the_way_is_replaced_not_followed(
    folder: Path, outside: Path
) -> None:
    there = folder / "there"
    there.mkdir()
    (there / "link").symlink_to(outside)
    (there / "file").symlink_to(outside / "kept")
    fetched = folder / "fetched"
    (fetched / "link").mkdir(parents=True)
    for name in ("link/kept", "file"):
        (fetched / name).write_text("new\n")

    _merge(fetched, there)

    assert (outside / "kept").read_text() == "kept\n"
    assert (there / "link/kept").read_text() == (there / "file").read_text() == "new\n"


def test_a_file_and_a_folder_do_not_replace_each_other(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "b").touch()
    for source, target in (("a", "b"), ("b", "a")):
        with pytest.raises(InvalidArgument) as caught:
            _merge(folder / source, folder / target)
        assert caught.value.hint == "move it away first"


@pytest.mark.parametrize(
    ("text", "place"),
    [("web:", ("web", "/")), ("./a:b", None), (".:b", None), ("a/b:c", None), (":x", None)],
)
def test_places_in_containers(text: str, place: tuple[str, str] | None) -> None:
    assert split_place(text) == place
