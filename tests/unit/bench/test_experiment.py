"""The order of an experiment is random, in blocks, and can be had again."""

from typing import Any

import pytest

from dockerlab.bench.experiment import Experiment
from dockerlab.errors import InvalidArgument


def test_each_block_has_one_run_of_each_temperature() -> None:
    order = [cell.temperature for cell in Experiment(image="x", runs=20, seed=3).order()]

    blocks = [set(order[begin : begin + 2]) for begin in range(0, 40, 2)]
    assert blocks == [{"cold", "cached"}] * 20


def test_which_comes_first_in_a_block_is_left_to_chance() -> None:
    order = [cell.temperature for cell in Experiment(image="x", runs=20, seed=3).order()]

    assert {order[begin] for begin in range(0, 40, 2)} == {"cold", "cached"}


def test_with_engines_each_block_has_one_run_of_each_engine_at_each_temperature() -> None:
    order = Experiment(image="x", runs=10, seed=3).order(("ours", "docker", "podman"))

    blocks = [order[begin : begin + 6] for begin in range(0, 60, 6)]
    assert all(len(set(block)) == 6 for block in blocks)
    assert len({block[0].engine for block in blocks}) == 3


def test_one_temperature_can_be_asked_for_alone() -> None:
    order = Experiment(image="x", runs=2, temperatures=("cached",)).order(("a", "b"))

    assert sorted(cell.engine for cell in order) == ["a", "a", "b", "b"]
    assert {cell.temperature for cell in order} == {"cached"}


@pytest.mark.parametrize("temperatures", [("warm",), (), ("cold", "cold")])
def test_temperatures_that_are_none_are_refused(temperatures: Any) -> None:
    with pytest.raises(InvalidArgument, match="temperature"):
        Experiment(image="x", temperatures=temperatures)


def test_the_seed_gives_the_order_again() -> None:
    one, same, other = (Experiment(image="x", runs=20, seed=seed).order() for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_no_runs_are_no_experiment() -> None:
    with pytest.raises(InvalidArgument, match="at least one"):
        Experiment(image="hello-world", runs=0)
