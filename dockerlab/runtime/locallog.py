"""The log of driver ``local``: a compact binary one, which only `docker logs` reads.

::

    length (4)  nanoseconds since the epoch (8)  stream (1)  output  length (4)

Numbers are big-endian; both lengths are of what is between them, so that the last entries are found
from the end of the file. Bytes that are no text stay what they are.
"""

from __future__ import annotations

import struct
import time

from dockerlab.runtime.loglines import LineLog

__all__ = ["HEAD", "LENGTH", "LocalLog"]

LENGTH = struct.Struct(">L")
HEAD = struct.Struct(">QB")


class LocalLog(LineLog):
    """Writes output as entries of the binary format.

    Parameters
    ----------
    file : LogFile
        Owned and closed here.
    """

    def _entries(self, stream: int, parts: list[bytes]) -> list[bytes]:
        head = HEAD.pack(time.time_ns(), stream)
        entries = []
        for part in parts:
            length = LENGTH.pack(len(head) + len(part))
            entries.append(b"".join((length, head, part, length)))
        return entries
