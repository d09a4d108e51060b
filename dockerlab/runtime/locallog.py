"""The log of driver ``local``: a compact binary one, which only `docker logs` reads.

::

    length (4)  nanoseconds since the epoch (8)  stream (1)  output  length (4)

Numbers are big-endian; both lengths are of what is between them, so that the last entries are found
from the end of the file. Bytes that are no text stay what they are.
"""

from __future__ import annotations

import struct
import time

from dockerlab.runtime.loglines import LineCutter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.runtime.logfile import LogFile

__all__ = ["HEAD", "LENGTH", "LocalLog"]

LENGTH = struct.Struct(">L")
HEAD = struct.Struct(">QB")


class LocalLog:
    """Writes output as entries of the binary format.

    Parameters
    ----------
    file : LogFile
        Owned and closed here.
    """

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._lines = LineCutter()

    def write(self, stream: int, data: bytes) -> None:
        """Take output of `stream`; what is not yet a line waits for its end."""
        if parts := self._lines.take(stream, data):
            self._append(stream, parts)

    def close(self) -> None:
        """Write what waits for the end of its line, and close."""
        for stream, rest in self._lines.rest():
            self._append(stream, [rest])
        self._file.close()

    def _append(self, stream: int, parts: list[bytes]) -> None:
        head = HEAD.pack(time.time_ns(), stream)
        entries = []
        for part in parts:
            length = LENGTH.pack(len(head) + len(part))
            entries.append(b"".join((length, head, part, length)))
        self._file.write(entries)
