"""Reading the json-file log."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dockerlab.engine.log import LogQuery
from dockerlab.engine.logs import LogSource, read_log


def entry(text: str, second: int, stream: str = "stdout") -> str:
    time = f"2026-01-01T00:00:{second:02d}.123456789Z"
    return json.dumps({"log": text, "stream": stream, "time": time}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "x-json.log"
    path.write_text(
        entry("one\n", 1) + entry("two\n", 2, "stderr") + entry("three\n", 3) + entry("four", 4)
    )
    return path


def lines(path: Path, query: LogQuery) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [record.line async for record in read_log(LogSource(str(path)), query)]

    return asyncio.run(collect())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (LogQuery(), [b"one\n", b"two\n", b"three\n", b"four"]),
        (LogQuery(stderr=False), [b"one\n", b"three\n", b"four"]),
        (LogQuery(stdout=False), [b"two\n"]),
        (LogQuery(tail=2), [b"three\n", b"four"]),
        (LogQuery(tail=0), []),
        (LogQuery(since=datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)), [b"three\n", b"four"]),
        (LogQuery(until=datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)), [b"one\n"]),
    ],
)
def test_a_query_selects(log: Path, query: LogQuery, expected: list[bytes]) -> None:
    assert lines(log, query) == expected


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert lines(tmp_path / "none", LogQuery()) == []


def test_a_torn_line_does_not_hide_the_others(log: Path) -> None:
    log.write_text('{"log": "torn\n' + entry("whole\n", 5))
    assert lines(log, LogQuery()) == [b"whole\n"]


def test_following_sees_what_is_written_later_and_ends_with_the_container(log: Path) -> None:
    running = True

    async def follow() -> list[bytes]:
        return [
            record.line
            async for record in read_log(
                LogSource(str(log)), LogQuery(follow=True), lambda: running
            )
        ]

    async def scene() -> list[bytes]:
        nonlocal running
        reader = asyncio.create_task(follow())
        await asyncio.sleep(0.05)
        with log.open("a") as file:
            half = entry("late\n", 6)
            file.write(half[:10])
            file.flush()
            await asyncio.sleep(0.05)
            file.write(half[10:])
        running = False
        return await asyncio.wait_for(reader, 5)

    assert asyncio.run(scene()) == [b"one\n", b"two\n", b"three\n", b"four", b"late\n"]


def test_a_log_that_is_removed_before_its_first_record_is_asked_for_is_read_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    path.write_text('{"log":"hello\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}\n')

    async def read() -> list[bytes]:
        reader = read_log(LogSource(str(path)), LogQuery())
        path.unlink()
        return [record.line async for record in reader]

    assert asyncio.run(read()) == [b"hello\n"]
