"""Output cut into the entries of a log, whatever the log's format.

An entry is a line, or a part of one: a line longer than 16 KiB is written in parts, of which only
the last ends in a newline. That is how `docker logs` joins them again, and what bounds the memory
for a program that never ends its line.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.runtime.logfile import LogFile

__all__ = ["STDERR", "STDOUT", "LineCutter", "LineLog"]

STDOUT = 1
STDERR = 2

_PART_BYTES = 16 * 1024


class LineCutter:
    """Keeps what is not yet a line, of each stream by itself."""

    def __init__(self) -> None:
        self._partial: dict[int, bytes] = {STDOUT: b"", STDERR: b""}

    def take(self, stream: int, data: bytes) -> list[bytes]:
        """Return the entries that `data` completes; the rest waits for the end of its line."""
        pending = self._partial[stream] + data
        lines = pending.splitlines(keepends=True) if b"\r" not in pending else _split(pending)
        rest = b""
        if lines and not lines[-1].endswith(b"\n"):
            rest = lines.pop()
        parts = [part for line in lines for part in _parts(line)]
        if len(rest) >= _PART_BYTES:
            *whole, rest = _parts(rest + b"\n")
            parts += whole
            rest = rest[:-1]
        self._partial[stream] = rest
        return parts

    def rest(self) -> list[tuple[int, bytes]]:
        """Return what still waits, with its stream: the end of the output ends every line."""
        return [(stream, rest) for stream, rest in self._partial.items() if rest]


def _split(data: bytes) -> list[bytes]:
    """Split behind newlines only; bytes.splitlines would also split at a lone carriage return."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _parts(line: bytes) -> list[bytes]:
    """Cut a line, with its newline, into parts of at most 16 KiB of text."""
    if len(line) <= _PART_BYTES:
        return [line]
    parts = [line[i : i + _PART_BYTES] for i in range(0, len(line), _PART_BYTES)]
    if parts[-1] == b"\n":
        parts.pop()
        parts[-1] += b"\n"
    return parts


class LineLog:
    """A log of whole lines; how an entry looks is its kinds'.

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
            self._file.write(self._entries(stream, parts))

    def close(self) -> None:
        """Write what waits for the end of its line, and close."""
        for stream, rest in self._lines.rest():
            self._file.write(self._entries(stream, [rest]))
        self._file.close()

    def _entries(self, stream: int, parts: list[bytes]) -> list[bytes]:
        """Return the entries of lines, as bytes of the file."""
        raise NotImplementedError
