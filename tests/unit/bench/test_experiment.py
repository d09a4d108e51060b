"""The order of an experiment is random, in blocks, and can be had again."""

import pytest

from dockerlab.bench.experiment import Experiment
from dockerlab.errors import InvalidArgument


def test_each_block_has_one_run_of_each_temperature() -> None:
    order = Experiment(image="hello-world", runs=20, seed=3).order()

    blocks = [set(order[begin : begin + 2]) for begin in range(0, 40, 2)]
    assert blocks == [{"cold", "cached"}] * 20


def test_which_comes_first_in_a_block_is_left_to_chance() -> None:
    order = Experiment(image="hello-world", runs=20, seed=3).order()

    assert {order[begin] for begin in range(0, 40, 2)} == {"cold", "cached"}


def test_the_seed_gives_the_order_again() -> None:
    one, same, other = (Experiment(image="x", runs=20, seed=seed).order() for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_no_runs_are_no_experiment() -> None:
    with pytest.raises(InvalidArgument, match="at least one"):
        Experiment(image="hello-world", runs=0)
