"""Reading the json-file log that a monitor writes.

One JSON object a line: ``log`` (with its newline), ``stream``, ``time``; Docker's own format, so
that tools for it work on ours.
"""

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from dockerlab.engine.log import LogQuery, LogRecord
from dockerlab.kernel import inotify

__all__ = ["read_log"]

# Lines that are parsed before other work of the loop gets its turn.
_LINES_PER_TURN = 256
_INOTIFY_BYTES = 64 << 10
# An end without output changes no file.
_LOOK_AGAIN_S = 0.25


async def read_log(
    path: str, query: LogQuery, is_running: Callable[[], bool] = lambda: False
) -> AsyncIterator[LogRecord]:
    """Iterate over the records that `query` selects, oldest first.

    Parameters
    ----------
    path : str
        The log file; '' or a missing one is an empty log.
    is_running : callable
        With ``query.follow``: asked at the end of the file whether more can come.
    """
    try:
        file = Path(path).open("rb") if path else None  # noqa: ASYNC230, SIM115
    except FileNotFoundError:
        file = None
    if file is None:
        return
    with file:
        selected = (record for record in _records(file) if _selects(query, record))
        if query.tail is not None:
            for record in deque(selected, maxlen=query.tail):
                yield record
        else:
            for number, record in enumerate(selected):
                if number % _LINES_PER_TURN == _LINES_PER_TURN - 1:
                    await asyncio.sleep(0)
                yield record
        if query.follow:
            async for record in _follow(file, path, query, is_running):
                yield record


async def _follow(
    file: BinaryIO, path: str, query: LogQuery, is_running: Callable[[], bool]
) -> AsyncIterator[LogRecord]:
    changes = inotify.watch(path)
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def heard() -> None:
        """Empty the descriptor, so that the loop does not call at once again."""
        os.read(changes, _INOTIFY_BYTES)
        changed.set()

    loop.add_reader(changes, heard)
    try:
        while True:
            goes_on = is_running()  # Asked before reading: what comes in between is read next.
            for record in _records(file):
                if _selects(query, record):
                    yield record
            left_s = _seconds_until(query.until)
            if not goes_on or left_s == 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(left_s, _LOOK_AGAIN_S))
            changed.clear()
    finally:
        loop.remove_reader(changes)
        os.close(changes)


def _records(file: BinaryIO) -> Iterator[LogRecord]:
    """Parse the complete lines from the file's position on; a half-written one stays unread."""
    while True:
        begin = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(begin)
            return
        try:
            entry = json.loads(line)
            text, stream, time = entry["log"], entry["stream"], entry["time"]
        except (ValueError, KeyError):
            continue  # A line torn by a full disk must not hide the others.
        yield LogRecord(stream=stream, time=time, line=text.encode("utf-8", "surrogateescape"))


def _selects(query: LogQuery, record: LogRecord) -> bool:
    if not (query.stdout if record.stream == "stdout" else query.stderr):
        return False
    if query.since is None and query.until is None:
        return True
    at = datetime.fromisoformat(record.time)
    return (query.since is None or at >= query.since) and (query.until is None or at <= query.until)


def _seconds_until(until: datetime | None) -> float:
    if until is None:
        return float("inf")
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
