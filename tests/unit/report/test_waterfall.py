"""Which bars a run has: the client's phases, and below the pull what it is made of."""

import pytest

from dockerlab.report.waterfall import waterfall
from tests.unit.report.runs import comparison


def test_the_rows_are_the_steps_of_a_run_in_their_order() -> None:
    frame = comparison()
    labels = [bar.label for bar in waterfall(frame[frame["run"] == 0])]

    assert labels == ["look in the cache", "pull", "· download", "create", "run"]


def test_layers_share_a_row_and_are_counted() -> None:
    frame = comparison()
    download = waterfall(frame[frame["run"] == 0])[2]

    assert download.is_part
    assert download.note == " (2 layers)"
    assert len(download.spans) == 2
    assert download.duration_s == pytest.approx(0.007)
    assert download.end_s == pytest.approx(0.009)


def test_a_phase_that_did_not_happen_has_no_row() -> None:
    frame = comparison()

    assert [bar.label for bar in waterfall(frame[frame["run"] == 3])] == ["create", "run"]
