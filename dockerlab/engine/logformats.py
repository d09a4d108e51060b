"""The two formats of a log file, read forwards from a place and found backwards from the end.

What is written is described in `runtime.jsonlog` and `runtime.locallog`. A record that is not yet
complete stays unread; one that a full disk has torn does not hide the others.
"""

import json
import os
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from dockerlab.engine.log import LogRecord
from dockerlab.runtime.jsonlog import rfc3339_nano
from dockerlab.runtime.locallog import HEAD, LENGTH
from dockerlab.runtime.loglines import STDERR

__all__ = ["FORMATS", "LogFormat"]

_BLOCK_BYTES = 64 * 1024
# What is longer was not written by a monitor: an entry holds at most 16 KiB of output.
_LARGEST_ENTRY = 1 << 20


class LogFormat(Protocol):
    """How the records of a file are found."""

    def read(self, file: BinaryIO) -> Iterator[LogRecord]:
        """Parse the complete records from the file's position on."""
        ...

    def seek_last(self, file: BinaryIO, count: int) -> int:
        """Move to the beginning of the last `count` records; return how many there are from it."""
        ...


class _JsonFile:
    """One JSON object a line."""

    def read(self, file: BinaryIO) -> Iterator[LogRecord]:
        """Parse the complete lines from the file's position on."""
        while True:
            begin = file.tell()
            line = file.readline()
            if not line.endswith(b"\n"):
                file.seek(begin)
                return
            try:
                entry = json.loads(line)
                text, stream, time = entry["log"], entry["stream"], entry["time"]
            except (ValueError, KeyError, TypeError):
                continue
            yield LogRecord(
                stream=stream,
                time=time,
                line=text.encode("utf-8", "surrogateescape"),
                attributes=entry.get("attrs") or {},
            )

    def seek_last(self, file: BinaryIO, count: int) -> int:
        """Count newlines backwards, block by block."""
        end = file.seek(0, os.SEEK_END)
        found = 0
        while end:
            begin = max(0, end - _BLOCK_BYTES)
            file.seek(begin)
            block = file.read(end - begin)
            at = len(block)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                # The newline behind the last wanted record's predecessor is where it begins.
                if found == count:
                    file.seek(begin + at + 1)
                    return found
                found += 1
            end = begin
        file.seek(0)
        return found


class _Local:
    """Entries between two lengths."""

    def read(self, file: BinaryIO) -> Iterator[LogRecord]:
        """Parse the complete entries from the file's position on."""
        while True:
            begin = file.tell()
            head = file.read(LENGTH.size)
            size = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0
            body = file.read(size + LENGTH.size) if HEAD.size <= size <= _LARGEST_ENTRY else b""
            if not body or len(body) < size + LENGTH.size:
                file.seek(begin)
                return
            nanoseconds, stream = HEAD.unpack_from(body)
            yield LogRecord(
                stream="stderr" if stream == STDERR else "stdout",
                time=rfc3339_nano(nanoseconds),
                line=body[HEAD.size : size],
            )

    def seek_last(self, file: BinaryIO, count: int) -> int:
        """Go back entry by entry, by the length behind each."""
        end = file.seek(0, os.SEEK_END)
        found = 0
        while found < count and end >= 2 * LENGTH.size:
            file.seek(end - LENGTH.size)
            size = LENGTH.unpack(file.read(LENGTH.size))[0]
            begin = end - size - 2 * LENGTH.size
            if begin < 0:
                break
            end, found = begin, found + 1
        file.seek(end)
        return found


FORMATS: dict[str, LogFormat] = {"json-file": _JsonFile(), "local": _Local()}
