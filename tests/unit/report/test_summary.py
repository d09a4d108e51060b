"""Medians, their intervals, the ratio, and the sentence that says them."""

import pandas as pd
import pytest

from dockerlab.report.summary import doubts, finding, summarise
from dockerlab.report.tables import Table
from dockerlab.report.timelines import timeline_frame
from tests.unit.report.runs import comparison, row


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


def of_engines(**factor: float) -> Table:
    """The known comparison for several engines, each slower by its factor."""
    frames = []
    for engine, times in factor.items():
        frame = comparison(engine=engine)
        frame[["begin_s", "duration_s"]] *= times
        frames.append(pd.DataFrame(frame))
    facts = {"engines": list(factor)}
    return timeline_frame(pd.concat(frames).to_dict("records"), facts)  # type: ignore[arg-type]


def test_with_engines_the_ratio_is_to_the_first_at_the_same_temperature() -> None:
    table = summarise(of_engines(podman=1, docker=4))

    assert table["engine"].tolist() == ["podman", "docker", "podman", "docker"]
    assert table["temperature"].tolist() == ["cold", "cold", "cached", "cached"]
    assert table["ratio"].tolist() == pytest.approx([1, 4, 1, 4])


def test_the_finding_about_engines_goes_by_temperature() -> None:
    assert finding(of_engines(dockerlab=1, docker=4)) == (
        "hello-world:latest: cold dockerlab 80 ms, docker 320 ms (4.0 times);"
        " cached dockerlab 20 ms, docker 80 ms (4.0 times) (medians)"
    )


def many(times: float) -> Table:
    """Twelve cached runs each of two engines, with noise of some per cent."""
    rows = [
        row("cached", run, "create", 0, factor * (100 + run), engine=engine)
        for engine, factor in (("dockerlab", 1.0), ("docker", times))
        for run in range(12)
    ]
    return timeline_frame(rows, {"engines": ["dockerlab", "docker"]})


def test_a_difference_within_the_noise_is_doubted() -> None:
    [sentence] = doubts(many(1.01))

    assert sentence.startswith(
        "cached: the noise is larger than the difference between dockerlab and docker (ratio "
    )
    assert sentence in summarise(many(1.01)).attrs["caption"]


def test_a_difference_beyond_the_noise_is_not() -> None:
    assert doubts(many(2.0)) == []


def test_too_few_runs_are_doubted_as_such() -> None:
    assert doubts(comparison()) == [
        "with 3 of each the noise cannot be judged: take 5 runs or more"
    ]
