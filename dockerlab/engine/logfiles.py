"""The files of one log, in the order of writing, while its writer goes on and rotates them.

`runtime.logfile` says what the writer does. A file is known by its inode number, which stays when
it is renamed, and which no other file gets while we have it open. The compressed form of a file has
the number of the plain one in its header: the youngest of that number is it, when the plain one is
gone.
"""

import os
import tempfile
import zlib
from contextlib import suppress
from typing import BinaryIO

__all__ = ["Chain", "OpenLog"]

# RFC 1952: ten bytes, then a comment that ends with a NUL.
_GZIP_FIXED = 10
_LONGEST_COMMENT = 24
_BLOCK_BYTES = 1 << 20
# How often the files are opened again because they were rotated meanwhile.
_ATTEMPTS = 20


class OpenLog:
    """One open file of a log.

    Parameters
    ----------
    stored : file
        What is on the disk; kept open, for that is what keeps its number.
    """

    def __init__(self, stored: BinaryIO, *, is_compressed: bool) -> None:
        self._stored = stored
        self._plain: BinaryIO | None = None if is_compressed else stored
        self._number = os.fstat(stored.fileno()).st_ino
        self._plain_number = _read_comment(stored) if is_compressed else self._number

    @property
    def file(self) -> BinaryIO:
        """The plain text; what is compressed is inflated when it is asked for, into a file."""
        if self._plain is None:
            self._plain = _inflated(self._stored)
        return self._plain

    @property
    def number(self) -> int:
        """The inode number of what is on the disk."""
        return self._number

    def is_of(self, other: "OpenLog") -> bool:
        """Tell whether this is what `other` is, or what became of it."""
        if self._number == other.number:
            return True
        is_gone = os.fstat(other._stored.fileno()).st_nlink == 0  # noqa: SLF001 - one of us
        return is_gone and self._plain_number == other.number

    def close(self) -> None:
        """Close the file, and its inflated copy."""
        self._stored.close()
        if self._plain is not None:
            self._plain.close()


class Chain:
    """The files of the log at `path`.

    Parameters
    ----------
    max_files : int
        How many there may be.
    """

    def __init__(self, path: str, max_files: int) -> None:
        self._path = path
        self._max_files = max_files

    def is_current(self, log: OpenLog) -> bool:
        """Tell whether `log` is what is being written to."""
        try:
            return os.stat(self._path).st_ino == log.number  # noqa: PTH116 - one call a look
        except FileNotFoundError:
            return False

    def open_all(self) -> list[OpenLog]:
        """Open all files, the youngest first; the caller closes."""
        logs = self._open_once()
        for _ in range(_ATTEMPTS):
            # Nothing was moved while they were opened when the first one still is the first one.
            if logs and self.is_current(logs[0]):
                break
            for log in logs:
                log.close()
            logs = self._open_once()
        return logs

    def open_next(self, log: OpenLog) -> OpenLog | None:
        """Open the file that was begun when `log` was rotated; None while there is none.

        When `log` is gone from the disk, that is the oldest that is left.
        """
        logs = self.open_all()
        at = next((i for i, each in enumerate(logs) if each.is_of(log)), len(logs))
        chosen = logs[at - 1] if at else None
        for each in logs:
            if each is not chosen:
                each.close()
        return chosen

    def _open_once(self) -> list[OpenLog]:
        names = [self._path, *(f"{self._path}.{index}" for index in range(1, self._max_files))]
        found = (_open(name) or _open(f"{name}.gz", is_compressed=True) for name in names)
        return [log for log in found if log is not None]


def _open(path: str, *, is_compressed: bool = False) -> OpenLog | None:
    try:
        file: BinaryIO = open(path, "rb")  # noqa: PTH123, SIM115 - handed to the caller
    except FileNotFoundError:
        return None
    return OpenLog(file, is_compressed=is_compressed)


def _read_comment(file: BinaryIO) -> int:
    """Return the number in a header, and stop behind it; -1 for a file that we did not write."""
    header = file.read(_GZIP_FIXED + _LONGEST_COMMENT)
    comment, _, _ = header[_GZIP_FIXED:].partition(b"\0")
    file.seek(_GZIP_FIXED + len(comment) + 1)
    return int(comment) if comment.isdigit() else -1


def _inflated(file: BinaryIO) -> BinaryIO:
    """Return the plain text as a file without a name, which can be read backwards."""
    plain: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - handed to the caller
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    with suppress(zlib.error):  # What is damaged ends here; the rest of the log is still read.
        while data := file.read(_BLOCK_BYTES):
            while data:
                plain.write(inflate.decompress(data, _BLOCK_BYTES))
                data = inflate.unconsumed_tail
    plain.seek(0)
    return plain
