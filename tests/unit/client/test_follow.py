"""`tail -f` of a log."""

from pathlib import Path

import pytest

from dockerlab.client.follow import follow
from dockerlab.errors import NotFound


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 100_000)
    assert b"".join(follow(path)) == b"x" * 100_000


def test_what_is_added_is_read_and_a_file_that_was_cut_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    contents = iter([b"one\ntwo\n", b"new\n"])
    lines = follow(path, is_endless=True, pause=lambda _s: path.write_bytes(next(contents)))
    assert [next(lines) for _ in range(3)] == [b"one\n", b"two\n", b"new\n"]


def test_no_log_yet_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no log at"):
        list(follow(tmp_path / "log"))
