"""The file behind a container's log: appended to, and rotated before it grows too large.

::

    log          the newest entries
    log.1        the ones before, or log.1.gz
    log.2 …      up to the number of files that are kept

A file is moved away by rename(2), never emptied, so a reader that has it open can read it to its
end and go on with the next. What became of a file that was compressed is in the gzip header, as a
comment: the inode number of the plain one (RFC 1952). So a reader that follows finds its place
again whatever happens between two looks (`engine.logfiles`).
"""

from __future__ import annotations

import os
import struct
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Later = Callable[[float, Callable[[], None]], None]

__all__ = ["LogFile"]

_MODE = 0o640
# About five milliseconds of work: between two of them the container's output is served.
_COMPRESS_BYTES = 256 * 1024
_COMPRESS_LEVEL = 1
# Magic, deflate, FCOMMENT, no time, fastest, Unix; then the comment and a NUL.
_GZIP_HEADER = b"\x1f\x8b\x08\x10\0\0\0\0\x04\x03"


class LogFile:
    """Appends whole entries to a log, and rotates it.

    Parameters
    ----------
    path : str
        Created with mode 0640 when missing.
    max_bytes : int
        A file of this size is rotated before the next entry; 0 never.
    max_files : int
        How many files there are at most, the current one included.
    compress : bool
        Compress what is rotated, in small pieces between other work.
    later : callable, optional
        Calls a function after some seconds (`Loop.call_later`); without it compression is done at
        once.

    Notes
    -----
    Entries are complete or absent: each batch is written in whole entries. When the disk is full
    the entries of that time are lost, the container goes on, and the first loss is told.
    """

    def __init__(
        self,
        path: str,
        *,
        max_bytes: int = 0,
        max_files: int = 1,
        compress: bool = False,
        later: Later | None = None,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._compresses = compress and max_files > 1
        self._later = later
        self._compression: _Compression | None = None
        self._is_broken = False
        self._fd = self._open()
        self._size = os.fstat(self._fd).st_size
        if self._compresses:
            self._begin_compression()

    def write(self, entries: list[bytes]) -> None:
        """Append entries; never raises for what a disk or a folder may do."""
        try:
            if not self._max_bytes:
                _write_all(self._fd, b"".join(entries))
                return
            for batch in self._batches(entries):
                if self._size >= self._max_bytes:
                    self._rotate()
                _write_all(self._fd, batch)
                self._size += len(batch)
        except OSError as error:
            if not self._is_broken:
                os.write(2, f"a container's log loses lines: {error.strerror}\n".encode())
            self._is_broken = True

    def close(self) -> None:
        """Close; what is not compressed yet stays as it is, until the log is opened again."""
        if self._compression is not None:
            self._compression.abandon()
            self._compression = None
        os.close(self._fd)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags, _MODE)

    def _batches(self, entries: list[bytes]) -> list[bytes]:
        """Join entries as far as they fit; only the entry that crosses the limit exceeds it."""
        batches: list[bytes] = []
        batch: list[bytes] = []
        size = self._size if self._size < self._max_bytes else 0
        for entry in entries:
            batch.append(entry)
            size += len(entry)
            if size >= self._max_bytes:
                batches.append(b"".join(batch))
                batch, size = [], 0
        return [*batches, b"".join(batch)] if batch else batches

    def _rotate(self) -> None:
        self._end_compression()
        for index in range(self._max_files - 1, 0, -1):
            for ending in ("", ".gz"):
                older = f"{self._path}.{index}{ending}"
                if index == self._max_files - 1:
                    _remove(older)
                else:
                    _rename(older, f"{self._path}.{index + 1}{ending}")
        if self._max_files > 1:
            os.rename(self._path, f"{self._path}.1")
        else:
            os.unlink(self._path)
        fresh = self._open()
        os.close(self._fd)
        self._fd, self._size = fresh, 0
        if self._compresses:
            self._begin_compression()

    # ------------------------------------------------------------------------------- compression

    def _begin_compression(self) -> None:
        try:
            self._compression = _Compression(f"{self._path}.1")
        except FileNotFoundError:
            return
        if self._later is None:
            self._end_compression()
        else:
            self._later(0.0, self._compress_some)

    def _compress_some(self) -> None:
        self._compress()
        if self._compression is not None and self._later is not None:
            self._later(0.0, self._compress_some)

    def _compress(self) -> None:
        compression = self._compression
        if compression is None:
            return
        try:
            if not compression.step():
                return
        except OSError:
            # A full disk: the plain file is still there, and is read as it is.
            compression.abandon()
        self._compression = None

    def _end_compression(self) -> None:
        while self._compression is not None:
            self._compress()


class _Compression:
    """One rotated file on its way to its compressed form."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._temporary = f"{path}.gz.new"
        self._target = os.open(self._temporary, flags, _MODE)
        self._deflate = zlib.compressobj(_COMPRESS_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._checksum, self._size = 0, 0
        number = os.fstat(self._source).st_ino
        _write_all(self._target, _GZIP_HEADER + b"%d\0" % number)

    def step(self) -> bool:
        """Do a little; tell whether that was the end."""
        data = os.read(self._source, _COMPRESS_BYTES)
        if data:
            self._checksum = zlib.crc32(data, self._checksum)
            self._size += len(data)
            _write_all(self._target, self._deflate.compress(data))
            return False
        trailer = struct.pack("<LL", self._checksum, self._size & 0xFFFFFFFF)
        _write_all(self._target, self._deflate.flush() + trailer)
        # First the new one, then not the old one: at no moment is there neither.
        os.rename(self._temporary, f"{self._path}.gz")
        os.unlink(self._path)
        self._close()
        return True

    def abandon(self) -> None:
        """Leave the plain file as it is."""
        self._close()
        _remove(self._temporary)

    def _close(self) -> None:
        os.close(self._source)
        os.close(self._target)


def _rename(old: str, new: str) -> None:
    try:
        os.rename(old, new)
    except FileNotFoundError:
        return


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
