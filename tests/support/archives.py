"""Tar archives for tests: ordinary ones by `tarfile`, and headers put together byte by byte."""

import io
import tarfile
from collections.abc import Mapping

__all__ = ["BLOCK", "END", "archive", "header", "member", "pax"]

BLOCK = 512
END = bytes(2 * BLOCK)


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    size: int | bytes = 0,
    link: bytes = b"",
    fields: Mapping[int, bytes] | None = None,
) -> bytes:
    """Return a ustar header with a right checksum; `fields` go over it at their offsets."""
    block = bytearray(BLOCK)
    block[0:100] = name.ljust(100, b"\0")
    block[100:124] = b"0000644\0" + b"0000000\0" * 2
    block[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    block[136:148] = b"%011o\0" % 1_000_000_000
    block[156:157] = kind
    block[157:257] = link.ljust(100, b"\0")
    block[257:265] = b"ustar\00000"
    for offset, value in (fields or {}).items():
        block[offset : offset + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes, data: bytes = b"", kind: bytes = b"0", link: bytes = b"") -> bytes:
    """Return a header with its data, padded to whole blocks."""
    return header(name, kind, size=len(data), link=link) + _padded(data)


def pax(records: Mapping[bytes, bytes], kind: bytes = b"x") -> bytes:
    """Return a PAX header with the given records."""
    data = b""
    for key, value in records.items():
        body = b" " + key + b"=" + value + b"\n"
        length = len(body)
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        data += str(length).encode() + body
    return header(b"pax", kind, size=len(data)) + _padded(data)


def archive(*entries: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """Return an archive that `tarfile` writes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as out:
        for info, data in entries:
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)
