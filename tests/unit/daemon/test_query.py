from datetime import UTC, datetime

import pytest

from dockerlab.daemon.query import Query, parse_moment
from dockerlab.errors import InvalidArgument


def query(**values: str) -> Query:
    return Query({name: [value.encode()] for name, value in values.items()})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", True),
        ("true", True),
        ("yes", True),
        ("x", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("none", False),
        ("", False),
    ],
)
def test_booleans_are_read_as_moby_reads_them(text: str, *, expected: bool) -> None:
    assert query(all=text).boolean("all") is expected


def test_what_is_missing_has_its_default() -> None:
    empty = Query({})
    assert empty.text("a", "b") == "b"
    assert empty.boolean("a", default=True)
    assert empty.number("a") is None
    assert empty.moment("a") is None
    assert empty.filters() == {}


@pytest.mark.parametrize("text", ["x", "1.5", "1e3", "٣", "9" * 30])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="expected a number"):
        query(t=text).number("t")


def test_numbers_may_be_negative() -> None:
    assert query(t="-1").number("t") == -1


@pytest.mark.parametrize("text", ["-1", "65536"])
def test_a_terminal_has_at_most_65535_rows(text: str) -> None:
    with pytest.raises(InvalidArgument, match="0 to 65535"):
        query(h=text).size("h")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="not UTF-8"):
        Query({"name": [b"\xff"]}).text("name")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1136073600.000000001", datetime(2006, 1, 1, tzinfo=UTC)),
        ("1136073600.25", datetime(2006, 1, 1, 0, 0, 0, 250000, tzinfo=UTC)),
        ("2006-01-01T01:00:00+01:00", datetime(2006, 1, 1, tzinfo=UTC)),
        ("2006-01-01T00:00:00.000000001Z", datetime(2006, 1, 1, tzinfo=UTC)),
        ("2006-01-01", datetime(2006, 1, 1, tzinfo=UTC)),
    ],
)
def test_moments_are_unix_seconds_or_rfc_3339(text: str, expected: datetime) -> None:
    assert parse_moment(text) == expected


@pytest.mark.parametrize("text", ["yesterday", "-5", "999999999999", "1.0000000001", "nan"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid time"):
        parse_moment(text)


def test_zero_is_no_moment() -> None:
    assert query(until="0").moment("until") is None


def test_filters_come_in_two_shapes() -> None:
    assert query(filters='{"name": ["a", "b"]}').filters() == {"name": ["a", "b"]}
    old = query(filters='{"name": {"a": true, "b": false}}')
    assert old.filters() == {"name": ["a"]}
    assert query(filters='{"name": null}').filters() == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"name": "a"}', '{"name": [1]}', "[" * 60_000, "x" * 70_000]
)
def test_filters_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="filter"):
        query(filters=text).filters()
