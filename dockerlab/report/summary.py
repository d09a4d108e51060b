"""A comparison in a few numbers, and in one sentence."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from dockerlab.phases import EMULATED_TIERS
from dockerlab.report.statistics import Interval, median_interval, ratio_interval
from dockerlab.report.tables import Table
from dockerlab.report.timelines import run_totals
from dockerlab.units import human_time

__all__ = ["Group", "doubts", "engines_of", "finding", "samples", "short_reference", "summarise"]

# What the others are compared with, where there is one engine only.
BASE = "cached"
# With fewer runs a bootstrap interval says next to nothing (see `statistics.median_interval`).
FEWEST_RUNS = 5

_DIGEST = re.compile(r"(@sha256:[0-9a-f]{12})[0-9a-f]{52}")


class Group(NamedTuple):
    """Runs of one kind: on one engine, at one temperature."""

    temperature: str
    engine: str


def samples(frame: pd.DataFrame) -> dict[Group, list[float]]:
    """Return the total times in seconds by kind: coldest first, then in the order of engines."""
    totals = run_totals(frame)
    groups = totals.groupby(["temperature", "engine"], observed=True)["total_s"]
    return {
        Group(str(temperature), str(engine)): [float(value) for value in values]
        for (temperature, engine), values in groups
    }


def engines_of(groups: Iterable[Group]) -> list[str]:
    """Return the engines of the groups, in their order."""
    return list(dict.fromkeys(group.engine for group in groups))


def summarise(frame: pd.DataFrame, *, seed: int = 0) -> Table:
    """Return one row for each engine and temperature.

    Parameters
    ----------
    frame : DataFrame
        A timeline of runs of one image on one host.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Table
        `engine`, `temperature`, `runs`, `median_s` with its bounds `low_s` and `high_s`, and
        `ratio` with `ratio_low` and `ratio_high`: to the first engine at the same temperature, or
        where there is one engine only, to its cached runs. The bounds hold 95 %.
    """
    times = samples(frame)
    medians = {group: median_interval(sample, seed=seed) for group, sample in times.items()}
    ratios = _ratios(times, seed)
    engines = engines_of(times)
    temperatures = list(dict.fromkeys(group.temperature for group in times))
    table = Table(
        {
            "engine": pd.Categorical(
                [group.engine for group in times], categories=engines, ordered=True
            ),
            "temperature": pd.Categorical(
                [group.temperature for group in times], categories=temperatures, ordered=True
            ),
            "runs": [len(sample) for sample in times.values()],
            "median_s": [interval.estimate for interval in medians.values()],
            "low_s": [interval.low for interval in medians.values()],
            "high_s": [interval.high for interval in medians.values()],
            "ratio": [ratios[group].estimate for group in times],
            "ratio_low": [ratios[group].low for group in times],
            "ratio_high": [ratios[group].high for group in times],
        }
    )
    table.attrs.update(frame.attrs)
    table.attrs["rows"] = "runs"
    table.attrs["folded"] = ["engine"]
    notes = [finding(frame), "low and high: bootstrap, 95 %", *doubts(frame, seed=seed)]
    table.attrs["caption"] = "; ".join(notes)
    return table


def finding(frame: pd.DataFrame) -> str:
    """Say in one sentence what the runs show, and whether they were emulated."""
    emulated = " (emulated)" if frame["tier"].isin(EMULATED_TIERS).any() else ""
    return f"{_finding(frame)}{emulated}"


def _finding(frame: pd.DataFrame) -> str:
    times = samples(frame)
    image = short_reference(str(frame["image"].iloc[0]))
    medians = {group: median_interval(sample).estimate for group, sample in times.items()}
    if len(engines_of(times)) > 1:
        return f"{image}: {'; '.join(_spoken_by_temperature(medians))} (medians)"
    by_temperature = {group.temperature: median for group, median in medians.items()}
    spoken = ", ".join(f"{name} {human_time(value)}" for name, value in by_temperature.items())
    if BASE not in by_temperature or len(medians) == 1:
        return f"{image}: {spoken} (median)"
    slowest = next(iter(by_temperature))
    ratio = by_temperature[slowest] / by_temperature[BASE]
    return f"{image}: {spoken} (medians); {slowest} takes {ratio:.1f} times as long"


def doubts(frame: pd.DataFrame, *, seed: int = 0) -> list[str]:
    """Return a sentence for each comparison that the runs do not carry; [] when all do.

    A difference is doubted when the 95 % interval of the ratio holds 1: then it is not larger than
    what the same thing differs by from run to run.
    """
    times = samples(frame)
    fewest = min(map(len, times.values()))
    if len(times) > 1 and fewest < FEWEST_RUNS:
        return [
            f"with {fewest} of each the noise cannot be judged: take {FEWEST_RUNS} runs or more"
        ]
    has_engines = len(engines_of(times)) > 1
    sentences = []
    for group, ratio in _ratios(times, seed).items():
        base = _base(group, times)
        if base is None or base == group or not ratio.low <= 1 <= ratio.high:
            continue
        pair = (base.engine, group.engine) if has_engines else (base.temperature, group.temperature)
        where = f"{group.temperature}: " if has_engines else ""
        sentences.append(
            f"{where}the noise is larger than the difference between {pair[0]} and {pair[1]}"
            f" (ratio {ratio.low:.2f} to {ratio.high:.2f}): more runs may tell them apart"
        )
    return sentences


def short_reference(image: str) -> str:
    """Return a reference for a title: of a digest the first twelve digits only.

    Examples
    --------
    >>> short_reference("127.0.0.1:5000/library/x@sha256:" + 64 * "a")
    '127.0.0.1:5000/library/x@sha256:aaaaaaaaaaaa'
    """
    return _DIGEST.sub(r"\1", image)


def _spoken_by_temperature(medians: Mapping[Group, float]) -> list[str]:
    sentences = []
    for temperature in dict.fromkeys(group.temperature for group in medians):
        mine = {
            group: value for group, value in medians.items() if group.temperature == temperature
        }
        parts = []
        for group, value in mine.items():
            base = _base(group, medians)
            ratio = "" if base is None or base == group else f" ({value / medians[base]:.1f} times)"
            parts.append(f"{group.engine} {human_time(value)}{ratio}")
        sentences.append(f"{temperature} {', '.join(parts)}")
    return sentences


def _base(group: Group, times: Mapping[Group, object]) -> Group | None:
    """Return what a group is compared with; None when there are none."""
    engines = engines_of(times)
    base = Group(group.temperature, engines[0]) if len(engines) > 1 else Group(BASE, group.engine)
    return base if base in times else None


def _ratios(times: Mapping[Group, list[float]], seed: int) -> dict[Group, Interval]:
    ratios = {}
    for group, sample in times.items():
        base = _base(group, times)
        if base is None:
            ratios[group] = Interval(float("nan"), float("nan"), float("nan"))
        elif base == group:
            # A sample has no ratio to itself that could vary.
            ratios[group] = Interval(1.0, 1.0, 1.0)
        else:
            ratios[group] = ratio_interval(sample, times[base], seed=seed)
    return ratios
