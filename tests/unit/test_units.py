"""Numbers as the Docker CLI reads and writes them; docker/go-units has the same tables."""

from datetime import UTC, datetime, timedelta

import pytest

from dockerlab.errors import InvalidArgument
from dockerlab.units import (
    human_age,
    human_duration,
    human_size,
    parse_cpus,
    parse_duration,
    parse_moment,
    parse_size,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1024, "1.02kB"),
        (13_256, "13.3kB"),
        (10**18, "1EB"),
    ],
)
def test_sizes_are_shown_in_thousands(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("32", 32),
        ("32b", 32),
        ("32k", 32 << 10),
        ("32KB", 32 << 10),
        ("32 MiB", 32 << 20),
        ("1.5g", 3 << 29),
        ("2T", 2 << 40),
        ("1p", 1 << 50),
    ],
)
def test_sizes_are_read_in_powers_of_two(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "m", "1x", "1.m", "0x10", "1e3", "1 2", "٣", "32 mm"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "nano"), [("1", 10**9), ("0.5", 5 * 10**8), (".000000001", 1)])
def test_processors_are_billionths(text: str, nano: int) -> None:
    assert parse_cpus(text) == nano


@pytest.mark.parametrize("text", ["", "-1", "1e3", "nan", "inf", "1/2", "0.0000000001"])
def test_what_is_no_number_of_processors_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid number of CPUs"):
        parse_cpus(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (61, "About a minute"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (13 * 86400, "13 days"),
        (30 * 86400, "4 weeks"),
        (700 * 86400, "23 months"),
        (731 * 86400, "2 years"),
    ],
)
def test_durations_are_rounded_words(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_what_is_to_come_was_less_than_a_second_ago() -> None:
    assert human_age(NOW + timedelta(hours=1), NOW) == "Less than a second ago"


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h30m", 5400), ("1.5s", 1.5), ("2ms3us", 0.002003)]
)
def test_durations_are_read_in_gos_spelling(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1d", "1h 30m", "-5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T11:00:00Z", NOW - timedelta(hours=1)),
        ("2026-03-01T13:00:00+01:00", NOW),
        ("2026-03-01T12:00:00", NOW),
        ("1h", NOW - timedelta(hours=1)),
        (str(int(NOW.timestamp())), NOW),
    ],
)
def test_moments_are_read_as_since_takes_them(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment
