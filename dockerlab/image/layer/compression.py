"""Decompression of a layer's bytes: gzip, zstd or none, in bounded pieces.

Not a checker of digests: `source` does that. ISA-L is about twice as fast as zlib, so it is used
where it is installed. Everything is imported before the worker gives up the host's files.
"""

import os
from collections.abc import Callable

from dockerlab.image.layer.fault import LayerFault

try:
    from isal import isal_zlib as inflate
except ImportError:  # pragma: no cover - depends on the installation
    import zlib as inflate  # type: ignore[no-redef]
try:
    import zstandard
except ImportError:  # pragma: no cover - depends on the installation
    zstandard = None  # type: ignore[assignment]

# `typing` is not imported here: see `worker`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["PIECE_BYTES", "Input", "Reader", "open_reader"]

# The largest piece that a reader returns: bounds memory whatever the ratio of compression.
PIECE_BYTES = 1 << 20

_INPUT_BYTES = 256 << 10
_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, 2.3.1
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
# RFC 8878, 3.1.2: frames that carry no data, 0x184D2A50 to 0x184D2A5F, little endian.
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
_ZSTD_SKIPPABLE_FIRST = 0x50
# What `zstd -d` accepts without being asked for more memory.
_ZSTD_WINDOW_BYTES = 128 << 20
_GZIP_WBITS = 31  # zlib's inflateInit2: a gzip header and trailer, the largest window

# Returns the next piece of at most PIECE_BYTES; empty means the end.
Reader = Callable[[], bytes]


class Input:
    """The compressed bytes behind a descriptor; `total_bytes` of them were read."""

    __slots__ = ("_fd", "total_bytes")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.total_bytes = 0

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; none is the end."""
        piece = os.read(self._fd, size)
        self.total_bytes += len(piece)
        return piece


def open_reader(source: "int | Input") -> Reader:
    """Return a reader of the uncompressed bytes behind a descriptor.

    The first bytes decide, not the media type: registries serve plain tar under the gzip type.

    Raises
    ------
    LayerFault
        The compression is zstd and the module for it is not installed.
    """
    data = Input(source) if isinstance(source, int) else source
    head = b""
    while len(head) < len(_ZSTD_MAGIC) and (piece := data.read(_INPUT_BYTES)):
        head += piece
    if head.startswith(_GZIP_MAGIC):
        return _Gzip(data, head).read
    if head.startswith(_ZSTD_MAGIC) or (
        head[1:4] == _ZSTD_SKIPPABLE and head[0] & 0xF0 == _ZSTD_SKIPPABLE_FIRST
    ):
        return _zstd_reader(data, head)
    return _Plain(data, head).read


class _Plain:
    """No compression."""

    def __init__(self, data: Input, head: bytes) -> None:
        self._data = data
        self._head = head

    def read(self) -> bytes:
        """Return the next piece."""
        head, self._head = self._head, b""
        return head or self._data.read(PIECE_BYTES)


class _Gzip:
    """Gzip members one behind the other (RFC 1952, 2.2), and zero bytes of padding at the end."""

    def __init__(self, data: Input, head: bytes) -> None:
        self._data = data
        self._input = head
        self._is_at_end = False
        self._member = inflate.decompressobj(_GZIP_WBITS)

    def read(self) -> bytes:
        """Return the next piece; raises LayerFault for what is not gzip."""
        while not self._is_at_end:
            if self._member.eof and not self._next_member():
                break
            if not self._input and not self._member.unconsumed_tail:
                self._fill()
                if self._is_at_end:
                    raise LayerFault("tar", "the gzip stream ends early")
            if piece := self._inflate():
                return piece
        return b""

    def _inflate(self) -> bytes:
        data = self._member.unconsumed_tail or self._input
        self._input = b""
        try:
            piece: bytes = self._member.decompress(data, PIECE_BYTES)
        except inflate.error as exc:  # type: ignore[misc] # isal declares an instance
            raise LayerFault("tar", f"the gzip stream is damaged ({exc})") from exc
        return piece

    def _next_member(self) -> bool:
        self._input = self._member.unused_data or self._input
        while len(self._input) < len(_GZIP_MAGIC) and not self._is_at_end:
            self._fill()
        if self._input.startswith(_GZIP_MAGIC):
            self._member = inflate.decompressobj(_GZIP_WBITS)
            return True
        # gzip(1) ignores zeros behind the last member (tapes are padded); anything else is not data
        # that a digest of the archive would cover, so it is refused.
        while not self._input.strip(b"\0") and not self._is_at_end:
            self._input = b""
            self._fill()
        if self._input.strip(b"\0"):
            raise LayerFault("tar", "there is something behind the end of the gzip stream")
        return False

    def _fill(self) -> None:
        piece = self._data.read(_INPUT_BYTES)
        self._is_at_end = not piece
        self._input += piece


class _Behind:
    """A file object of what was read already and what is still to come, as zstandard wants one."""

    def __init__(self, data: Input, head: bytes) -> None:
        self._data = data
        self._head = head

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; none is the end."""
        head, self._head = self._head[:size], self._head[size:]
        return head or self._data.read(size)


def _zstd_reader(data: Input, head: bytes) -> Reader:
    if zstandard is None:  # pragma: no cover - depends on the installation
        raise LayerFault("io", 'the layer is compressed with zstd: install "zstandard"')
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    # A stream reader, unlike a decompressobj, bounds its output: one compressed block of four bytes
    # can stand for 128 KiB.
    behind: Any = _Behind(data, head)
    stream = context.stream_reader(behind, read_size=_INPUT_BYTES, read_across_frames=True)

    def read() -> bytes:
        """Return the next piece."""
        try:
            return stream.read(PIECE_BYTES)
        except zstandard.ZstdError as exc:
            raise LayerFault("tar", f"the zstd stream is damaged ({exc})") from exc

    return read
