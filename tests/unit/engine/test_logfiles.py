"""Reading a log of several files, also while a writer rotates it."""

import asyncio
from pathlib import Path

import pytest

from dockerlab.engine.log import LogQuery
from dockerlab.engine.logs import LogSource, read_log
from dockerlab.runtime.jsonlog import JsonFileLog
from dockerlab.runtime.locallog import LocalLog
from dockerlab.runtime.logfile import LogFile
from dockerlab.runtime.loglines import STDERR, STDOUT

MAX_FILES = 4


def make_log(folder: Path, driver: str, *, compress: bool = False) -> JsonFileLog | LocalLog:
    max_bytes = 600 if driver == "local" else 2000
    file = LogFile(str(folder / "log"), max_bytes=max_bytes, max_files=MAX_FILES, compress=compress)
    return LocalLog(file) if driver == "local" else JsonFileLog(file)


def source(folder: Path, driver: str) -> LogSource:
    return LogSource(str(folder / "log"), driver, MAX_FILES)


def numbers(folder: Path, driver: str, query: LogQuery) -> list[int]:
    async def collect() -> list[int]:
        return [int(record.line) async for record in read_log(source(folder, driver), query)]

    return asyncio.run(collect())


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize("compress", [False, True])
def test_all_files_are_read_in_order(tmp_path: Path, driver: str, *, compress: bool) -> None:
    log = make_log(tmp_path, driver, compress=compress)
    for number in range(60):
        log.write(STDERR if number % 3 else STDOUT, b"%d\n" % number)

    everything = numbers(tmp_path, driver, LogQuery())
    assert everything == list(range(everything[0], 60))
    assert len(list(tmp_path.iterdir())) > 1
    for tail in (0, 1, 7, 30, len(everything), 1000):
        expected = everything[-tail:] if tail else []
        assert numbers(tmp_path, driver, LogQuery(tail=tail)) == expected
    # Docker counts the records of both streams, and selects among those.
    assert numbers(tmp_path, driver, LogQuery(tail=6, stderr=False)) == [54, 57]
    log.close()


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize("compress", [False, True])
def test_following_sees_every_line_once_across_rotations(
    tmp_path: Path, driver: str, *, compress: bool
) -> None:
    total = 3000
    seen: list[int] = []
    is_done = False
    has_moved = asyncio.Event()
    log = make_log(tmp_path, driver, compress=compress)

    async def follow() -> None:
        async for record in read_log(
            source(tmp_path, driver), LogQuery(follow=True), lambda: not is_done
        ):
            seen.append(int(record.line))
            has_moved.set()

    async def scene() -> None:
        nonlocal is_done
        reader = asyncio.create_task(follow())
        for number in range(total):
            log.write(STDOUT, b"%d\n" % number)
            # The reader is at most three rotations behind: more files there are not.
            while number - (seen[-1] if seen else 0) > 30:
                has_moved.clear()
                await has_moved.wait()
        log.close()
        is_done = True
        await asyncio.wait_for(reader, 20)

    asyncio.run(scene())
    assert seen == list(range(total))


def test_the_local_log_keeps_every_byte(tmp_path: Path) -> None:
    log = make_log(tmp_path, "local")
    log.write(STDOUT, b"\xff\0\n")
    log.close()

    async def collect() -> list[tuple[str, bytes]]:
        query = LogQuery()
        return [(r.stream, r.line) async for r in read_log(source(tmp_path, "local"), query)]

    assert asyncio.run(collect()) == [("stdout", b"\xff\0\n")]


def test_a_torn_end_of_the_local_log_is_left_unread(tmp_path: Path) -> None:
    log = make_log(tmp_path, "local")
    log.write(STDOUT, b"1\n")
    log.close()
    with (tmp_path / "log").open("ab") as file:
        file.write(b"\0\0\0\x20half")

    assert numbers(tmp_path, "local", LogQuery()) == [1]
