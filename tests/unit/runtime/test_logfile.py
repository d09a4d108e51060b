"""Rotation: what is on the disk, and how much."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerlab.runtime.logfile import LogFile


def entries(begin: int, end: int) -> list[bytes]:
    return [b"%09d\n" % number for number in range(begin, end)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_without_a_size_nothing_is_rotated(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    log.write(entries(0, 1000))
    log.close()

    assert names(tmp_path) == ["log"]
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


def test_the_newest_files_are_kept(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), max_bytes=100, max_files=3)
    log.write(entries(0, 45))
    log.close()

    assert names(tmp_path) == ["log", "log.1", "log.2"]
    assert (tmp_path / "log").read_bytes() == b"".join(entries(40, 45))
    assert (tmp_path / "log.1").read_bytes() == b"".join(entries(30, 40))
    assert (tmp_path / "log.2").read_bytes() == b"".join(entries(20, 30))


def test_one_file_begins_anew(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), max_bytes=100)
    log.write(entries(0, 25))
    log.close()

    assert names(tmp_path) == ["log"]
    assert (tmp_path / "log").read_bytes() == b"".join(entries(20, 25))


def test_an_older_run_counts(tmp_path: Path) -> None:
    for begin in (0, 8):
        log = LogFile(str(tmp_path / "log"), max_bytes=100, max_files=2)
        log.write(entries(begin, begin + 8))
        log.close()

    assert (tmp_path / "log.1").read_bytes() == b"".join(entries(0, 10))
    assert (tmp_path / "log").read_bytes() == b"".join(entries(10, 16))


def test_compressed_files_are_gzip_and_say_what_they_were(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), max_bytes=100, max_files=3, compress=True)
    log.write(entries(0, 10))
    number = (tmp_path / "log").stat().st_ino
    log.write(entries(10, 12))
    log.close()

    assert names(tmp_path) == ["log", "log.1.gz"]
    data = (tmp_path / "log.1.gz").read_bytes()
    assert gzip.decompress(data) == b"".join(entries(0, 10))
    assert data[10:].startswith(b"%d\0" % number)


def test_compression_waits_for_its_turn(tmp_path: Path) -> None:
    waiting: list[Callable[[], None]] = []
    log = LogFile(
        str(tmp_path / "log"),
        max_bytes=100,
        max_files=3,
        compress=True,
        later=lambda _, callback: waiting.append(callback),
    )
    log.write(entries(0, 12))

    assert names(tmp_path) == ["log", "log.1", "log.1.gz.new"]
    while waiting:
        waiting.pop()()
    assert names(tmp_path) == ["log", "log.1.gz"]
    log.close()


def test_a_rotation_does_not_overtake_a_compression(tmp_path: Path) -> None:
    log = LogFile(
        str(tmp_path / "log"),
        max_bytes=100,
        max_files=3,
        compress=True,
        later=lambda _delay, _callback: None,
    )
    log.write(entries(0, 25))
    log.close()

    # The youngest stays plain when the log is closed; the next run takes it up again.
    assert names(tmp_path) == ["log", "log.1", "log.2.gz"]
    LogFile(str(tmp_path / "log"), max_bytes=100, max_files=3, compress=True).close()
    assert names(tmp_path) == ["log", "log.1.gz", "log.2.gz"]


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_the_disk_is_bounded(tmp_path: Path, count: int) -> None:
    log = LogFile(str(tmp_path / "log"), max_bytes=1000, max_files=3)
    for begin in range(0, 7000, count):
        log.write(entries(begin, begin + count))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * 1010
    log.close()
