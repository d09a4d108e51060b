import json
from pathlib import Path

import pytest

from dockerlab.runtime.jsonlog import JsonFileLog
from dockerlab.runtime.logfile import LogFile
from dockerlab.runtime.loglines import STDERR, STDOUT


def written(path: Path, *chunks: tuple[int, bytes]) -> list[tuple[str, str]]:
    log = JsonFileLog(LogFile(str(path)))
    for stream, data in chunks:
        log.write(stream, data)
    log.close()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(set(entry) == {"log", "stream", "time"} for entry in entries)
    return [(entry["stream"], entry["log"]) for entry in entries]


def test_a_line_is_an_entry(tmp_path: Path) -> None:
    assert written(tmp_path / "log", (STDOUT, b"one\ntwo\n")) == [
        ("stdout", "one\n"),
        ("stdout", "two\n"),
    ]


def test_a_line_in_pieces_is_one_entry(tmp_path: Path) -> None:
    chunks = ((STDOUT, b"on"), (STDERR, b"other\n"), (STDOUT, b"e\n"))

    assert written(tmp_path / "log", *chunks) == [("stderr", "other\n"), ("stdout", "one\n")]


def test_the_last_line_needs_no_newline(tmp_path: Path) -> None:
    assert written(tmp_path / "log", (STDOUT, b"a\nprompt> ")) == [
        ("stdout", "a\n"),
        ("stdout", "prompt> "),
    ]


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    data = b"10%\r20%\r\nform\x0cfeed\n"

    assert written(tmp_path / "log", (STDOUT, data)) == [
        ("stdout", "10%\r20%\r\n"),
        ("stdout", "form\x0cfeed\n"),
    ]


def test_what_is_no_text_is_replaced(tmp_path: Path) -> None:
    assert written(tmp_path / "log", (STDOUT, b"\xff\xfe\n")) == [("stdout", "\ufffd\ufffd\n")]


@pytest.mark.parametrize("step", [1000, 16384, 100_000])
def test_a_long_line_is_cut_and_joins_again(tmp_path: Path, step: int) -> None:
    line = b"0123456789" * 5000 + b"\n"
    chunks = [(STDOUT, line[i : i + step]) for i in range(0, len(line), step)]
    parts = [text for _, text in written(tmp_path / "log", *chunks)]

    assert "".join(parts).encode() == line
    assert all(len(part.rstrip("\n")) <= 16384 for part in parts)
    assert [part.endswith("\n") for part in parts] == [*[False] * (len(parts) - 1), True]


def test_a_full_disk_loses_lines_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    log = JsonFileLog(LogFile("/dev/full"))
    log.write(STDOUT, b"one\n")
    log.write(STDOUT, b"two\n")
    log.close()

    assert capfd.readouterr().err == "a container's log loses lines: No space left on device\n"


def test_attributes_are_in_every_entry(tmp_path: Path) -> None:
    log = JsonFileLog(LogFile(str(tmp_path / "log")), {"tag": "web"})
    log.write(STDOUT, b"one\n")
    log.close()

    assert json.loads((tmp_path / "log").read_text())["attrs"] == {"tag": "web"}
