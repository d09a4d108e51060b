"""Logical lines: directives, comments, continuations, heredocs (Dockerfile reference, "Format")."""

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.image.build.lines import read_lines


def texts(source: str) -> list[str]:
    return [line.text for line in read_lines(source.encode()).lines]


def test_comments_and_empty_lines_are_dropped_and_numbers_stay() -> None:
    read = read_lines(b"# a comment\n\nFROM a\n  # indented\n\tRUN b # not a comment\n")

    assert [(line.number, line.text) for line in read.lines] == [
        (3, "FROM a"),
        (5, "RUN b # not a comment"),
    ]


def test_lines_are_joined_across_comments_and_empty_lines_with_a_warning() -> None:
    read = read_lines(b"RUN a \\\n  # note\n\n  b \\  \n&& c\n")

    assert [line.text for line in read.lines] == ["RUN a   b && c"]
    assert "Empty continuation line" in read.warnings[0]


def test_an_escaped_backslash_continues_nothing() -> None:
    assert texts("RUN echo a \\\\\nCMD b") == ["RUN echo a \\\\", "CMD b"]


def test_a_continuation_at_the_end_of_the_file_ends_with_it() -> None:
    assert texts("RUN a \\") == ["RUN a"]


def test_carriage_returns_and_a_byte_order_mark_mean_nothing() -> None:
    read = read_lines(b"\xef\xbb\xbfFROM a\r\nRUN b \\\r\n c\r\n")

    assert [line.text for line in read.lines] == ["FROM a", "RUN b  c"]


def test_another_character_can_escape() -> None:
    read = read_lines(b"# syntax=docker/dockerfile:1\n# escape=`\nRUN dir `\n c:\\\nCMD x\n")

    assert read.escape == "`"
    assert [line.text for line in read.lines] == ["RUN dir  c:\\", "CMD x"]


@pytest.mark.parametrize(
    "source",
    [
        "\n# escape=`\nFROM a",
        "# a comment\n# escape=`\nFROM a",
        "FROM a\n# escape=`",
        "# Escape FROM",
    ],
)
def test_a_directive_behind_anything_else_is_a_comment(source: str) -> None:
    assert read_lines(source.encode()).escape == "\\"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("# escape=x\nFROM a", "invalid ESCAPE 'x'. Must be ` or"),
        ("# escape=`\n# ESCAPE=`\nFROM a", "only one escape parser directive"),
        ("RUN <<EOF\nabc", "line 1: unterminated heredoc"),
    ],
)
def test_what_cannot_be_read_is_refused(source: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        read_lines(source.encode())


def test_bytes_that_are_no_text_and_too_many_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="not UTF-8"):
        read_lines(b"FROM \xff")
    with pytest.raises(InvalidArgument, match="larger than"):
        read_lines(b"#" * (4 << 20) + b"\n")


def test_heredocs_hold_what_looks_like_instructions() -> None:
    read = read_lines(b"RUN <<EOF\nFROM x\n  # kept\n\nEOF\nCMD y\n")
    [heredoc] = read.lines[0].heredocs

    assert heredoc.text == "FROM x\n  # kept\n\n"
    assert heredoc.expands
    assert read.lines[1].text == "CMD y"


def test_several_heredocs_follow_each_other_and_quotes_and_tabs_count() -> None:
    read = read_lines(b"COPY <<-'A' <<\"B\" <<C /d/\n\ta$x\n\tA\n\tb\nB\nC\n")
    a, b, c = read.lines[0].heredocs

    assert (a.name, a.text, a.expands) == ("A", "a$x\n", False)
    assert (b.name, b.text, b.expands) == ("B", "\tb\n", False)
    assert (c.name, c.text, c.expands) == ("C", "", True)


@pytest.mark.parametrize(
    "source",
    ['RUN echo "<<EOF"', "RUN echo $((1<<n))", "CMD <<EOF", "ENV a=<<EOF", "RUN cat <<<word"],
)
def test_what_only_looks_like_a_heredoc_is_none(source: str) -> None:
    [line] = read_lines(f"{source}\n".encode()).lines

    assert line.text == source
    assert line.heredocs == ()


def test_a_trigger_has_heredocs_too() -> None:
    [line] = read_lines(b"ONBUILD RUN <<EOF\nx\nEOF\n").lines

    assert line.heredocs[0].text == "x\n"
