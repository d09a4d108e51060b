"""A comparison in a few numbers, and in one sentence."""

from collections.abc import Mapping

import pandas as pd

from dockerlab.report.statistics import Interval, median_interval, ratio_interval
from dockerlab.report.tables import Table
from dockerlab.report.timelines import run_totals
from dockerlab.units import human_time

__all__ = ["finding", "samples", "summarise"]

# What the others are compared with.
BASE = "cached"


def samples(frame: pd.DataFrame) -> dict[str, list[float]]:
    """Return the total times in seconds by temperature, coldest first."""
    totals = run_totals(frame)
    groups = totals.groupby("temperature", observed=True)["total_s"]
    return {str(name): [float(value) for value in values] for name, values in groups}


def summarise(frame: pd.DataFrame, *, seed: int = 0) -> Table:
    """Return one row for each temperature.

    Parameters
    ----------
    frame : DataFrame
        A timeline of runs of one image on one engine.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Table
        `temperature`, `runs`, `median_s` with its bounds `low_s` and `high_s`, and `ratio` (to the
        median of the cached runs) with `ratio_low` and `ratio_high`. The bounds hold 95 %.
    """
    times = samples(frame)
    medians = {name: median_interval(sample, seed=seed) for name, sample in times.items()}
    ratios = _ratios(times, seed)
    table = Table(
        {
            "temperature": pd.Categorical(list(times), categories=list(times), ordered=True),
            "runs": [len(sample) for sample in times.values()],
            "median_s": [interval.estimate for interval in medians.values()],
            "low_s": [interval.low for interval in medians.values()],
            "high_s": [interval.high for interval in medians.values()],
            "ratio": [ratios[name].estimate for name in times],
            "ratio_low": [ratios[name].low for name in times],
            "ratio_high": [ratios[name].high for name in times],
        }
    )
    table.attrs.update(frame.attrs)
    table.attrs["rows"] = "runs"
    table.attrs["folded"] = []
    table.attrs["caption"] = f"{finding(frame)}; low and high: bootstrap, 95 %"
    return table


def finding(frame: pd.DataFrame) -> str:
    """Say in one sentence what the runs show."""
    times = samples(frame)
    image = str(frame["image"].iloc[0])
    medians = {name: median_interval(sample).estimate for name, sample in times.items()}
    spoken = ", ".join(f"{name} {human_time(value)}" for name, value in medians.items())
    if BASE not in medians or len(medians) == 1:
        return f"{image}: {spoken} (median)"
    slowest = next(iter(medians))
    ratio = medians[slowest] / medians[BASE]
    return f"{image}: {spoken} (medians); {slowest} takes {ratio:.1f} times as long"


def _ratios(times: Mapping[str, list[float]], seed: int) -> dict[str, Interval]:
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    if BASE not in times:
        return dict.fromkeys(times, nothing)
    ratios = {name: ratio_interval(times[name], times[BASE], seed=seed) for name in times}
    # A sample has no ratio to itself that could vary.
    return ratios | {BASE: Interval(1.0, 1.0, 1.0)}
