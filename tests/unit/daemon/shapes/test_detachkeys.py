"""Detach keys as clients write them."""

import pytest

from dockerlab.daemon.shapes.detachkeys import parse_detach_keys
from dockerlab.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b"\x10\x11"),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-a,d,DEL", b"\x01d\x7f"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
    ],
)
def test_keys_are_what_a_terminal_sends(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-ab", "ab", "a,,b", "é"])
def test_what_no_terminal_sends_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid detach keys"):
        parse_detach_keys(text)
