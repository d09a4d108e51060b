"""Medians, their intervals, the ratio, and the sentence that says them."""

import pytest

from dockerlab.report.summary import finding, summarise
from tests.unit.report.runs import comparison


def test_there_is_one_row_for_each_temperature() -> None:
    table = summarise(comparison())

    assert table["temperature"].tolist() == ["cold", "cached"]
    assert table["runs"].tolist() == [3, 3]
    assert table["median_s"].tolist() == pytest.approx([0.08, 0.02])


def test_the_ratio_is_to_the_cached_runs() -> None:
    cold, cached = summarise(comparison()).to_dict("records")

    assert cold["ratio"] == pytest.approx(4.0)
    assert cold["ratio_low"] <= 4.0 <= cold["ratio_high"]
    assert (cached["ratio_low"], cached["ratio"], cached["ratio_high"]) == (1.0, 1.0, 1.0)


def test_the_seed_gives_the_same_intervals_again() -> None:
    assert summarise(comparison(), seed=1).equals(summarise(comparison(), seed=1))


def test_without_cached_runs_there_is_no_ratio() -> None:
    frame = comparison()
    table = summarise(frame[frame["temperature"] == "cold"])

    assert table["ratio"].isna().all()


def test_the_finding_is_a_sentence_with_the_numbers() -> None:
    assert finding(comparison()) == (
        "hello-world:latest: cold 80 ms, cached 20 ms (medians); cold takes 4.0 times as long"
    )


def test_the_finding_of_one_temperature_compares_nothing() -> None:
    frame = comparison()

    assert finding(frame[frame["temperature"] == "cached"]) == (
        "hello-world:latest: cached 20 ms (median)"
    )
