"""Intervals hold what they promise, and the same seed gives the same ones."""

import numpy as np
import pytest

from dockerlab.report.statistics import ecdf, median_interval, ratio_interval


def test_the_median_is_between_its_bounds_and_those_within_the_sample() -> None:
    interval = median_interval([1.0, 9.0, 2.0, 3.0, 4.0])

    assert interval.estimate == 3.0
    assert 1.0 <= interval.low <= 3.0 <= interval.high <= 9.0


def test_a_single_value_has_no_spread() -> None:
    assert median_interval([2.0]) == median_interval([2.0], seed=5)
    assert median_interval([2.0]).low == median_interval([2.0]).high == 2.0


def test_the_seed_decides() -> None:
    one, other = np.random.default_rng(1).lognormal(size=(2, 24)).tolist()

    assert ratio_interval(one, other, seed=3) == ratio_interval(one, other, seed=3)
    assert ratio_interval(one, other, seed=3) != ratio_interval(one, other, seed=4)


def test_about_95_of_100_intervals_hold_the_median_they_estimate() -> None:
    generator = np.random.default_rng(7)
    held = 0
    for number in range(100):
        interval = median_interval(generator.lognormal(size=30).tolist(), seed=number)
        held += interval.low <= 1.0 <= interval.high

    assert 88 <= held <= 100


def test_the_ratio_is_that_of_the_medians() -> None:
    interval = ratio_interval([10.0, 20.0, 30.0], [1.0, 2.0, 3.0])

    assert interval.estimate == 10.0
    assert 10 / 3 <= interval.low < 10.0 < interval.high <= 30.0


def test_the_distribution_ends_at_one() -> None:
    values, shares = ecdf([3.0, 1.0, 2.0, 2.0])

    assert values.tolist() == [1.0, 2.0, 2.0, 3.0]
    assert shares.tolist() == pytest.approx([0.25, 0.5, 0.75, 1.0])
