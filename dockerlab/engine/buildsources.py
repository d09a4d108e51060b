"""What a COPY names, in a process whose root is the source: found, hashed, and told from archives.

Every path is resolved by the kernel in that root, so a link leads nowhere else. Import-light.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from dockerlab.image.build.glob import fits, has_magic
from dockerlab.image.layer.compression import open_reader
from dockerlab.image.layer.fault import LayerFault

# Here and not where they are used: in the root of an image nothing is imported any more. Both are
# small, and a build without them would have to refuse what Docker unpacks.
try:
    import _bz2
    import _lzma
except ImportError:  # pragma: no cover - depends on the interpreter
    _bz2 = _lzma = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["decompressor", "find", "hash_source", "is_archive"]

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PIECE_BYTES = 1 << 20
_BLOCK_BYTES = 512
_CHECKSUM = slice(148, 156)
_BZIP2, _XZ = b"BZh", b"\xfd7zXZ\x00"
_MAX_MEMORY_BYTES = 256 << 20
_MISSING = (errno.ENOENT, errno.ENOTDIR)


def find(pattern: str) -> list[str]:
    """Return the paths that a pattern means, sorted; none where nothing is there.

    A part of it that has ``*``, ``?`` or ``[`` is compared with the names of a folder; any other is
    taken as it stands, links followed.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    found = ["/"]
    for part in parts:
        if part == "..":
            found = [os.path.dirname(path.rstrip("/")) or "/" for path in found]
        elif has_magic(part):
            found = [os.path.join(path, name) for path in found for name in _names(path, part)]
        else:
            found = [os.path.join(path, part) for path in found]
    return [path for path in dict.fromkeys(found) if _is_there(path)]


def _names(folder: str, pattern: str) -> list[str]:
    try:
        return [name for name in sorted(os.listdir(folder)) if fits(name, pattern)]
    except OSError as error:
        if error.errno in _MISSING:
            return []
        raise


def _is_there(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in (*_MISSING, errno.ELOOP):
            return False
        raise
    return True


def hash_source(path: str) -> str:
    """Return the hex digest of a file, or of a folder with all in it: everything but times."""
    digest = hashlib.sha256()
    real = os.path.realpath(path)
    status = os.lstat(real)
    if not stat.S_ISDIR(status.st_mode):
        _add(digest, real, "", status)
        return digest.hexdigest()
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        folders = []
        for name in sorted(os.listdir(os.path.join(real, inner)), key=os.fsencode):
            below = f"{inner}/{name}" if inner else name
            place = os.path.join(real, below)
            status = os.lstat(place)
            _add(digest, place, below, status)
            if stat.S_ISDIR(status.st_mode):
                folders.append(below)
        waiting += reversed(folders)
    return digest.hexdigest()


def _add(digest: Any, place: str, name: str, status: os.stat_result) -> None:
    mode = status.st_mode
    is_file = stat.S_ISREG(mode)
    facts = (mode, status.st_uid, status.st_gid, status.st_size if is_file else 0, status.st_rdev)
    head = [os.fsencode(name), repr(facts).encode()]
    if stat.S_ISLNK(mode):
        head.append(os.fsencode(os.readlink(place)))
    digest.update(b"%d\0" % len(head) + b"\0".join(head) + b"\0")
    if is_file:
        fd = os.open(place, _READ | os.O_NOFOLLOW)
        try:
            while piece := os.read(fd, _PIECE_BYTES):
                digest.update(piece)
        finally:
            os.close(fd)


def is_archive(path: str) -> bool:
    """Tell whether a file is a tar archive, plain or compressed (gzip, bzip2, xz, zstd)."""
    fd = os.open(path, _READ)
    try:
        block = _first_block(fd)
    except LayerFault:
        return False  # It only begins as a compressed file does.
    finally:
        os.close(fd)
    if len(block) < _BLOCK_BYTES or not block.strip(b"\0"):
        return False
    try:
        wanted = int(block[_CHECKSUM].strip(b" \0") or b"0", 8)
    except ValueError:
        return False
    blanked = block[:148] + b" " * 8 + block[156:]
    return sum(blanked) == wanted


def _first_block(fd: int) -> bytes:
    magic = os.pread(fd, len(_XZ), 0)
    block = b""
    if magic.startswith((_BZIP2, _XZ)):
        decompress = decompressor(fd)
        while len(block) < _BLOCK_BYTES and (piece := os.read(fd, _PIECE_BYTES)):
            for part in decompress(piece):
                block += part
                if len(block) >= _BLOCK_BYTES:
                    break
    else:
        read = open_reader(fd)
        while len(block) < _BLOCK_BYTES and (piece := read()):
            block += piece
    return block[:_BLOCK_BYTES]


def decompressor(fd: int) -> Callable[[bytes], Iterator[bytes]]:
    """Return what makes plain bytes of a file's, for bzip2 and xz; others stay as they are.

    Other compressions are known to whoever reads the archive (`compression`).
    """
    magic = os.pread(fd, len(_XZ), 0)
    if magic.startswith(_XZ) and _lzma is not None:
        return _Chained(lambda: _lzma.LZMADecompressor(memlimit=_MAX_MEMORY_BYTES)).feed
    if magic.startswith(_BZIP2) and _bz2 is not None:
        return _Chained(_bz2.BZ2Decompressor).feed
    return lambda piece: iter((piece,))


class _Chained:
    """Streams one behind the other, decompressed in bounded pieces."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._stream = make()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes decompress to; raise LayerFault for what is damaged."""
        while data or not (self._stream.eof or self._stream.needs_input):
            if self._stream.eof:
                if not data.strip(b"\0"):
                    return
                self._stream = self._make()
            try:
                piece = self._stream.decompress(data, _PIECE_BYTES)
            except (OSError, EOFError, ValueError, _lzma.LZMAError) as error:
                raise LayerFault("tar", f"the archive is damaged ({error})") from error
            data = self._stream.unused_data if self._stream.eof else b""
            if piece:
                yield piece
