"""The tidy table, and the total time of each run in it."""

import pandas as pd
import pytest

from dockerlab.client.timeline import COLUMNS as CLIENT_COLUMNS
from dockerlab.errors import InvalidArgument
from dockerlab.report.summary import finding
from dockerlab.report.timelines import COLUMNS, run_totals, timeline_frame
from tests.unit.report.runs import CACHED_MS, COLD_MS, comparison


def test_the_columns_are_those_that_the_client_gives() -> None:
    assert tuple(COLUMNS) == CLIENT_COLUMNS
    assert tuple(comparison().columns) == CLIENT_COLUMNS


def test_dtypes_are_the_same_without_rows() -> None:
    kinds = timeline_frame([]).dtypes.astype(str)

    assert kinds["begin_s"] == "float64"
    assert kinds["temperature"] == "category"


def test_cold_comes_before_cached() -> None:
    assert comparison()["temperature"].cat.categories.tolist() == ["cold", "cached"]


def test_facts_are_kept_with_the_table() -> None:
    assert comparison().attrs["kernel"] == "6.18"
    assert comparison().head(2).attrs["kernel"] == "6.18"


def test_a_total_ends_with_the_exit_and_not_with_the_removal() -> None:
    totals = run_totals(comparison())

    milliseconds = (totals["total_s"] * 1000).round(6).tolist()
    assert milliseconds == [*COLD_MS, *CACHED_MS]


def test_a_plain_frame_that_was_saved_and_read_serves_as_well() -> None:
    plain = pd.DataFrame(comparison()).astype({"temperature": "str", "phase": "str"})

    assert len(run_totals(plain)) == 6
    assert len(plain.lab.summary()) == 2


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": [1]}), 'the column "engine" is missing'),
        (comparison().head(0), "without runs"),
        (pd.concat([comparison(), comparison(image="busybox")]), "several images"),
        (pd.concat([comparison(), comparison(host="other")]), "several hosts"),
    ],
)
def test_what_is_no_one_sample_is_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        run_totals(frame)


def test_emulated_times_are_marked_and_never_beside_others() -> None:
    emulated = comparison(tier="ptrace")

    assert emulated.attrs["emulated"]
    assert not comparison().attrs["emulated"]
    assert finding(emulated).endswith("(emulated)")
    both = pd.concat([emulated, comparison(engine="docker", tier="remote")])
    with pytest.raises(InvalidArgument, match="cannot compare runs of the tier ptrace"):
        run_totals(both)
