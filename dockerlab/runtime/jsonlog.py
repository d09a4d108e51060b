r"""Docker's json-file log: one JSON object a line of output.

::

    {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}

A line longer than 16 KiB is written in parts, of which only the last ends in a newline; that is how
`docker logs` joins them again. See "JSON File logging driver" in Docker's documentation.
"""

from __future__ import annotations

import os
import time
from json.encoder import encode_basestring

__all__ = ["STDERR", "STDOUT", "JsonFileLog", "rfc3339_nano"]

STDOUT = 1
STDERR = 2

_STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
_PART_BYTES = 16 * 1024
_NANO = 1_000_000_000


class JsonFileLog:
    """Appends to one log file.

    Parameters
    ----------
    path : str
        Created with mode 0640 when missing.

    Notes
    -----
    Lines are complete or absent: each batch is one write(2) of whole lines. When the disk is full
    the lines of that time are lost, the container goes on, and the first loss is told.
    """

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o640)
        self._partial: dict[int, bytes] = {STDOUT: b"", STDERR: b""}
        self._is_broken = False

    def write(self, stream: int, data: bytes) -> None:
        """Take output of `stream`; what is not yet a line waits for its end."""
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
        if parts:
            self._append(stream, parts)

    def close(self) -> None:
        """Write what waits for the end of its line, and close."""
        for stream, rest in self._partial.items():
            if rest:
                self._append(stream, [rest])
        os.close(self._fd)

    def _append(self, stream: int, parts: list[bytes]) -> None:
        name = _STREAM_NAMES[stream]
        stamp = rfc3339_nano(time.time_ns())
        tail = f',"stream":"{name}","time":"{stamp}"}}\n'
        # The encoder's own function: json.dumps would make an encoder for each line.
        entries = [
            f'{{"log":{encode_basestring(part.decode("utf-8", "replace"))}{tail}' for part in parts
        ]
        data = "".join(entries).encode()
        try:
            _write_all(self._fd, data)
        except OSError as error:
            if not self._is_broken:
                os.write(2, f"a container's log loses lines: {error.strerror}\n".encode())
            self._is_broken = True


def rfc3339_nano(nanoseconds: int) -> str:
    """Return a time since the epoch as Go's RFC3339Nano: no trailing zeros in the fraction.

    Examples
    --------
    >>> rfc3339_nano(1_700_000_000_120_000_000)
    '2023-11-14T22:13:20.12Z'
    >>> rfc3339_nano(1_700_000_000_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    seconds, fraction = divmod(nanoseconds, _NANO)
    stamp = time.gmtime(seconds)
    date = (
        f"{stamp.tm_year:04}-{stamp.tm_mon:02}-{stamp.tm_mday:02}"
        f"T{stamp.tm_hour:02}:{stamp.tm_min:02}:{stamp.tm_sec:02}"
    )
    digits = f"{fraction:09}".rstrip("0")
    return f"{date}.{digits}Z" if digits else f"{date}Z"


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


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
