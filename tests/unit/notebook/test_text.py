"""Output arrives in pieces and is shown at once, whole characters only."""

from typing import Any

import pytest
from IPython.lib import pretty as printer

from dockerlab.notebook.text import CellOutput, Lines, LogText


def test_a_character_in_two_pieces_is_shown_when_it_is_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = CellOutput()
    first, rest = "한글".encode()[:2], "한글".encode()[2:]

    output.write("stdout", first)
    assert capsys.readouterr().out == ""
    output.write("stdout", rest)
    assert capsys.readouterr().out == "한글"


def test_the_streams_have_a_decoder_each(capsys: pytest.CaptureFixture[str]) -> None:
    output = CellOutput()
    output.write("stdout", "é".encode()[:1])
    output.write("stderr", b"warning\n")
    output.write("stdout", "é".encode()[1:])

    assert tuple(capsys.readouterr()) == ("é", "warning\n")


def test_bytes_that_are_no_text_are_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    output = CellOutput()
    output.write("stdout", b"a\xffb\xed")
    output.finish()

    assert capsys.readouterr().out == "a\ufffdb\ufffd"


def test_lists_and_logs_are_shown_as_text() -> None:
    pretty: Any = printer.pretty
    assert pretty(Lines(["one", "two"])) == "one\ntwo"
    assert pretty(LogText("one\ntwo\n")) == "one\ntwo"
