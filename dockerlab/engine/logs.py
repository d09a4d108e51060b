"""Reading the log that a monitor writes: which records, in which order, until when.

How a record looks is `engine.logformats`, in which file it is `engine.logfiles`.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from dockerlab.engine.log import LogQuery, LogRecord
from dockerlab.engine.logfiles import Chain, OpenLog
from dockerlab.engine.logformats import FORMATS, LogFormat
from dockerlab.kernel import inotify

__all__ = ["LogReader", "LogSource", "read_log"]

# Lines that are parsed before other work of the loop gets its turn.
_LINES_PER_TURN = 256
_INOTIFY_BYTES = 64 << 10
# An end without output, and a rotation, change no file that is watched.
_LOOK_AGAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class LogSource:
    """Where a log is: '' is an empty one, and so is a missing file."""

    path: str
    driver: str = "json-file"
    max_files: int = 1


def read_log(
    source: LogSource, query: LogQuery, is_running: Callable[[], bool] = lambda: False
) -> "LogReader":
    """Iterate over the records that `query` selects, oldest first.

    As in Docker, `tail` counts the records of both streams at all times, and what they select is
    selected among those. Only so much is read for it as is needed, from the end.

    Parameters
    ----------
    is_running : callable
        With ``query.follow``: asked at the end of the log whether more can come.
    """
    return LogReader(source, query, is_running)


class LogReader(AsyncIterator[LogRecord]):
    """The records of a log, whose files are open from the beginning.

    Whoever has one reads everything, also when the container is removed before the first record is
    asked for: a client may do so as soon as it has the head of the answer.
    """

    def __init__(self, source: LogSource, query: LogQuery, is_running: Callable[[], bool]) -> None:
        self._chain = Chain(source.path, source.max_files)
        self._format = FORMATS[source.driver] if source.path else FORMATS["json-file"]
        self._query = query
        self._is_running = is_running
        self._logs = self._chain.open_all() if source.path else []
        self._records = self._read()

    async def __anext__(self) -> LogRecord:
        return await anext(self._records)

    async def aclose(self) -> None:
        """Close the files, read or not."""
        await self._records.aclose()
        self._close()

    async def _read(self) -> AsyncGenerator[LogRecord, None]:
        query, format_ = self._query, self._format
        try:
            # Decompressing and counting take long where a log is long: not on the loop.
            logs = await asyncio.to_thread(_seek_tail, self._logs, format_, query.tail)
            for log in logs:
                async for record in _in_turns(format_.read(log.file)):
                    if _selects(query, record):
                        yield record
            if query.follow and logs:
                last, is_running = logs[-1], self._is_running
                async for record in _follow(self._chain, format_, last, query, is_running):
                    yield record
        finally:
            self._close()

    def _close(self) -> None:
        for log in self._logs:
            log.close()


def _seek_tail(logs: list[OpenLog], format_: LogFormat, tail: int | None) -> list[OpenLog]:
    """Return the logs that hold the last `tail` records, oldest first, each at its first one.

    Parameters
    ----------
    logs : list of OpenLog
        The youngest first.
    """
    if tail is None:
        return logs[::-1]
    found, needed = 0, 0
    for log in logs:
        if needed and found == tail:
            break
        found += format_.seek_last(log.file, tail - found)
        needed += 1
    return logs[:needed][::-1]


async def _in_turns(records: Iterator[LogRecord]) -> AsyncIterator[LogRecord]:
    for number, record in enumerate(records):
        if number % _LINES_PER_TURN == _LINES_PER_TURN - 1:
            await asyncio.sleep(0)
        yield record


async def _follow(
    chain: Chain,
    format_: LogFormat,
    log: OpenLog,
    query: LogQuery,
    is_running: Callable[[], bool],
) -> AsyncIterator[LogRecord]:
    """Read on in `log` and in those that come after it."""
    with _Changes(log) as changes:
        while True:
            goes_on = is_running()  # Asked before reading: what comes in between is read next.
            was_rotated = not chain.is_current(log)
            async for record in _in_turns(format_.read(log.file)):
                if _selects(query, record):
                    yield record
            if was_rotated and (after := await asyncio.to_thread(chain.open_next, log)) is not None:
                # It was moved away before it was read to its end, so it is read to its end.
                changes.turn_to(after)
                log = after
                continue
            left_s = _seconds_until(query.until)
            if not goes_on or left_s == 0:
                return
            await changes.wait(min(left_s, _LOOK_AGAIN_S))


class _Changes:
    """Tells when a file is written to; owns the files that it is turned to."""

    def __init__(self, log: OpenLog) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._log = log
        self._owns = False
        self._watch = -1

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def turn_to(self, log: OpenLog) -> None:
        """Watch the next file."""
        self._end()
        self._log, self._owns = log, True
        self._begin()

    async def wait(self, timeout_s: float) -> None:
        """Return when the file was written to, or after the time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        self._changed.clear()

    def _begin(self) -> None:
        # The open file and not its name, which another one may have by now.
        self._watch = inotify.watch(f"/proc/self/fd/{self._log.file.fileno()}")
        self._loop.add_reader(self._watch, self._heard)

    def _heard(self) -> None:
        """Empty the descriptor, so that the loop does not call at once again."""
        os.read(self._watch, _INOTIFY_BYTES)
        self._changed.set()

    def _end(self) -> None:
        self._loop.remove_reader(self._watch)
        os.close(self._watch)
        if self._owns:
            self._log.close()


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
