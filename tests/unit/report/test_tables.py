"""Tables are DataFrames with real dtypes that are shown in human units."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from dockerlab.report.cells import heading, shown, title
from dockerlab.report.tables import Table

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HEX = "0123456789abcdef" * 4


def table() -> Table:
    return Table(
        {
            "repository": ["hello-world", "<none>"],
            "image_id": [f"sha256:{HEX}", "sha256:" + "f" * 64],
            "created_at": [datetime.now(UTC) - timedelta(minutes=3, seconds=5), pd.NaT],
            "size_bytes": pd.array([1840, None], dtype="Int64"),
        }
    )


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("size_bytes", 1840, "1.84kB"),
        ("bytes", 0, ""),
        ("size_bytes", 0, "0B"),
        ("created_at", NOW - timedelta(hours=5), "5 hours ago"),
        ("duration_s", 0.0143, "14 ms"),
        ("image_id", f"sha256:{HEX}", "0123456789ab"),
        ("names", ["a", "b"], "a, b"),
        ("ratio", 3.14159, "3.14"),
        ("size_bytes", pd.NA, ""),
        ("command", "x" * 40, "x" * 31 + "…"),
        ("repository", "x" * 40, "x" * 40),
    ],
)
def test_the_name_of_a_column_says_its_unit(column: str, value: object, text: str) -> None:
    assert shown(column, value, NOW) == text


def test_what_was_rounded_or_cut_is_exact_in_the_title() -> None:
    assert title("size_bytes", 1840) == "1,840 bytes"
    assert title("created_at", NOW) == "2026-11-24T12:00:00+00:00"
    assert title("image_id", f"sha256:{HEX}") == f"sha256:{HEX}"
    assert title("repository", "hello-world") == ""


def test_headings_leave_the_unit_out() -> None:
    assert [heading(name) for name in ("created_at", "image_id", "size_bytes", "run")] == [
        "created",
        "image id",
        "size",
        "run",
    ]


def test_text_looks_as_the_docker_cli_lays_it_out() -> None:
    assert repr(table()).splitlines() == [
        "REPOSITORY    IMAGE ID       CREATED         SIZE",
        "hello-world   0123456789ab   3 minutes ago   1.84kB",
        "<none>        ffffffffffff",
    ]


def test_html_is_escaped_and_sets_no_colour_of_its_own() -> None:
    html = table()._repr_html_()

    assert 'text-align: left">&lt;none&gt;</td>' in html
    assert 'title="1,840 bytes">1.84kB</td>' in html
    assert "background" not in html
    assert "#" not in html.partition("</style>")[0]


def test_every_operation_gives_another_table() -> None:
    part = table().query("size_bytes > 0")[["image_id", "size_bytes"]]

    assert isinstance(part, Table)
    assert repr(part).splitlines()[1] == "0123456789ab   1.84kB"


def test_values_stay_what_they_are() -> None:
    assert table()["size_bytes"].sum() == 1840
    assert table().loc[0, "image_id"] == f"sha256:{HEX}"


def test_an_empty_table_says_so() -> None:
    nothing = table().head(0)
    nothing.attrs["rows"] = "images"

    assert repr(nothing) == "no images"
    assert "no images" in nothing._repr_html_()


def test_a_long_table_says_how_much_of_it_is_shown() -> None:
    with pd.option_context("display.max_rows", 5):
        lines = repr(Table({"n": range(8)})).splitlines()

    assert len(lines) == 7
    assert lines[-1] == "the first 5 of 8 rows"


def test_a_column_that_may_be_folded_is_said_once_while_it_does_not_vary() -> None:
    same = Table({"host": ["lab", "lab"], "n": [1, 2]})
    same.attrs["folded"] = ["host"]

    assert repr(same).splitlines()[0] == "N"
    assert repr(same).endswith("in all rows: host lab")
    assert list(same.columns) == ["host", "n"]


def test_an_index_that_says_something_is_shown() -> None:
    counted = Table({"image": ["a", "a", "b"], "n": [1, 2, 3]}).groupby("image").sum()

    assert repr(counted).splitlines() == ["IMAGE   N", "a       3", "b       3"]
