"""One figure of a comparison: where the time of a run goes, and how the runs spread.

A waterfall of the phases of each median run, and beside it the empirical distribution of the total
times. With one engine, cold and cached share both panels; with several there is a row of panels for
each temperature, in which the engines share them. The background is transparent.
"""

import base64
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from dockerlab.report.drawing import (
    CURVES,
    INK,
    Curve,
    Stroke,
    draw_spread,
    draw_waterfall,
    row_count,
)
from dockerlab.report.summary import Group, engines_of, finding, samples
from dockerlab.report.timelines import run_totals
from dockerlab.report.waterfall import Bar, waterfall

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Plot", "plot_runs"]

DPI = 100
SCREEN_SCALE = 2
ROW_HEIGHT_IN = 0.24
WIDTH_IN = 10.0
# What the suptitle's letters leave room for.
TITLE_LETTERS = 112

# A temperature has its stroke wherever it is drawn; engines have theirs by their place.
BY_TEMPERATURE = {"cold": CURVES[0], "stored": CURVES[2], "cached": CURVES[1]}


class Plot:
    """A figure with its finding in words.

    Parameters
    ----------
    figure : Figure
        matplotlib's.
    sentence : str
        What the figure shows; title, alternative text and text form.
    """

    def __init__(self, figure: "Figure", sentence: str) -> None:
        self.figure = figure
        self.finding = sentence

    def savefig(self, *where: Any, **options: Any) -> None:
        """Save the figure; takes what `matplotlib.figure.Figure.savefig` takes."""
        self.figure.savefig(*where, **{"dpi": DPI * SCREEN_SCALE, **options})

    def __repr__(self) -> str:
        return self.finding

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, Any]]:
        memory = io.BytesIO()
        self.savefig(memory, format="png")
        width, height = (round(side * DPI) for side in self.figure.get_size_inches())
        data = {
            "text/plain": self.finding,
            "image/png": base64.b64encode(memory.getvalue()).decode(),
        }
        return data, {"image/png": {"alt": self.finding, "width": width, "height": height}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """One kind of runs as it is drawn: its heading, the bars of its median run, its curve."""

    heading: str
    bars: Sequence[Bar]
    curve: Curve


def plot_runs(frame: pd.DataFrame) -> Plot:
    """Draw a timeline of one or many runs of one image.

    Parameters
    ----------
    frame : DataFrame
        A timeline; one run is enough, then only its phases are drawn.

    Raises
    ------
    InvalidArgument
        The table is no timeline of one image on one host.
    """
    from matplotlib.figure import Figure

    times = samples(frame)
    rows = _rows(frame, times)
    has_spread = max(map(len, times.values())) > 1
    sentence = finding(frame)
    title = _lines(sentence) if len(engines_of(times)) > 1 else [sentence]
    heights = [1.0 + ROW_HEIGHT_IN * row_count(_bars(row)) for row in rows]
    # Made without pyplot: no window, no registry of figures, no back end switched.
    height_in = max(2.8, 0.2 * len(title) + sum(heights))
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    figure.patch.set_alpha(0.0)
    figure.suptitle("\n".join(title), color=INK, fontsize=11, fontweight="bold", x=0.01, ha="left")
    columns = 2 if has_spread else 1
    panels = figure.subplots(
        len(rows),
        columns,
        width_ratios=(3, 2)[:columns],
        height_ratios=heights,
        squeeze=False,
    )
    for row, axes in zip(rows, panels, strict=True):
        draw_waterfall(axes[0], _bars(row), unit="ms from the request, median run")
        if has_spread:
            draw_spread(axes[1], [series.curve for series in row])
    return Plot(figure, sentence)


def _lines(sentence: str) -> list[str]:
    """Break a finding about several engines: the image, then a line for each temperature."""
    image, _, rest = sentence.partition(": ")
    parts = [f"{image}:", *rest.split("; ")]
    return [line for part in parts for line in textwrap.wrap(part, TITLE_LETTERS)]


def _rows(frame: pd.DataFrame, times: dict[Group, list[float]]) -> list[list[_Series]]:
    """Return the panels' rows: of one engine a single one, of several one a temperature."""
    engines = engines_of(times)
    if len(engines) == 1:
        return [[_series(frame, g, times, g.temperature, BY_TEMPERATURE) for g in times]]
    strokes = {name: CURVES[place % len(CURVES)] for place, name in enumerate(engines)}
    temperatures = dict.fromkeys(group.temperature for group in times)
    return [
        [_series(frame, g, times, g.engine, strokes) for g in times if g.temperature == temperature]
        for temperature in temperatures
    ]


def _series(
    frame: pd.DataFrame,
    group: Group,
    times: dict[Group, list[float]],
    label: str,
    strokes: dict[str, Stroke],
) -> _Series:
    # Of one engine, the label is the temperature itself.
    heading = label if label == group.temperature else f"{label}, {group.temperature}"
    return _Series(
        heading=heading,
        bars=waterfall(_median_run(frame, group)),
        curve=Curve(label=heading, sample=times[group], stroke=strokes[label]),
    )


def _bars(row: Sequence[_Series]) -> dict[str, Sequence[Bar]]:
    return {series.heading: series.bars for series in row}


def _median_run(frame: pd.DataFrame, group: Group) -> pd.DataFrame:
    """Return the rows of the run whose total is nearest to the median."""
    totals = run_totals(frame)
    is_mine = (totals["temperature"] == group.temperature) & (totals["engine"] == group.engine)
    mine = totals[is_mine]
    distance = (mine["total_s"] - mine["total_s"].median()).abs()
    run = mine["run"].iloc[int(distance.argmin())]
    in_group = (frame["temperature"] == group.temperature) & (frame["engine"] == group.engine)
    return pd.DataFrame(frame[in_group & (frame["run"] == run)])
