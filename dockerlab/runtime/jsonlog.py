r"""Docker's json-file log: one JSON object a line of output.

::

    {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}

With ``--log-opt labels`` and the like there is ``"attrs":{…}`` before the time. See "JSON File
logging driver" in Docker's documentation.
"""

from __future__ import annotations

import json
import time
from json.encoder import encode_basestring

from dockerlab.runtime.loglines import STDERR, STDOUT, LineLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.runtime.logfile import LogFile

__all__ = ["JsonFileLog", "rfc3339_nano"]

_STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
_NANO = 1_000_000_000


class JsonFileLog(LineLog):
    """Writes output as json-file entries.

    Parameters
    ----------
    file : LogFile
        Owned and closed here.
    attributes : dict of str to str, optional
        Written with every entry, for `docker logs --details`.
    """

    def __init__(self, file: LogFile, attributes: dict[str, str] | None = None) -> None:
        super().__init__(file)
        compact = json.dumps(attributes, separators=(",", ":")) if attributes else ""
        self._attributes = f',"attrs":{compact}' if compact else ""

    def _entries(self, stream: int, parts: list[bytes]) -> list[bytes]:
        name = _STREAM_NAMES[stream]
        stamp = rfc3339_nano(time.time_ns())
        tail = f',"stream":"{name}"{self._attributes},"time":"{stamp}"}}\n'
        # The encoder's own function: json.dumps would make an encoder for each line.
        return [
            f'{{"log":{encode_basestring(part.decode("utf-8", "replace"))}{tail}'.encode()
            for part in parts
        ]


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
