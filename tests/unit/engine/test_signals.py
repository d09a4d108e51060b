"""Signals by name and number."""

import pytest

from dockerlab.engine.signals import parse_signal
from dockerlab.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9),
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("rtmax-1", 63),
        ("RTMAX", 64),
        ("37", 37),
        ("64", 64),
    ],
)
def test_names_and_numbers_mean_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "65", "-9", "SIGNONE", "RTMIN-1", "RTMAX+1", "RTMIN+31", "٩", "9" * 5000]
)
def test_there_is_no_such_signal(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid signal"):
        parse_signal(text)
