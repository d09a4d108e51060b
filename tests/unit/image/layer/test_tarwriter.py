"""What the writer writes, Python's tarfile reads, and our own reader."""

import io
import tarfile

import pytest

from dockerlab.image.layer import tar
from dockerlab.image.layer.tarwriter import TarWriter, padding


def written(path: bytes, kind: bytes, **fields: object) -> tarfile.TarInfo:
    pieces: list[bytes] = []
    writer = TarWriter(pieces.append)
    writer.member(path, kind, **fields)  # type: ignore[arg-type]
    writer.finish()
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        [entry] = archive.getmembers()
    return entry


@pytest.mark.parametrize(
    "name", ["short", "x" * 100, "x" * 101, "deep/" * 300 + "end", "ümlaut", "a b\nc"]
)
def test_names_of_any_length_come_back(name: str) -> None:
    assert written(name.encode(), tar.REGULAR).name == name


def test_numbers_that_are_too_large_for_a_header_come_back() -> None:
    entry = written(
        b"x", tar.DIRECTORY, mode=0o1755, uid=3_000_000, gid=7, mtime_ns=(1 << 34) * 10**9
    )
    assert (entry.uid, entry.gid, entry.mtime, entry.mode) == (3_000_000, 7, 1 << 34, 0o1755)
    assert entry.isdir()


def test_links_devices_and_attributes() -> None:
    assert written(b"l", tar.SYMLINK, link=b"t" * 150).linkname == "t" * 150
    assert written(b"h", tar.HARD_LINK, link=b"first").linkname == "first"
    node = written(b"n", tar.CHARACTER_DEVICE, device=(1, 3))
    assert (node.devmajor, node.devminor) == (1, 3)
    entry = written(b"c", tar.FIFO, xattrs=[(b"security.capability", b"\1\0\n=x")])
    assert entry.pax_headers["SCHILY.xattr.security.capability"].encode() == b"\1\0\n=x"


def test_a_file_is_padded_to_whole_blocks() -> None:
    pieces: list[bytes] = []
    writer = TarWriter(pieces.append)
    writer.file(b"f", b"data")
    writer.finish()
    assert len(b"".join(pieces)) == 4 * 512
    assert padding(512) == b""
