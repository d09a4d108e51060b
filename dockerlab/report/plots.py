"""One figure of a comparison: where the time of a run goes, and how the runs spread.

Two panels: the phases of the median run of each temperature on one time axis, and the empirical
distribution of the total times. Colours are Okabe and Ito's, which every common kind of colour
blindness tells apart, and no meaning is in a colour alone: bars are labelled, curves differ in
their stroke. The background is transparent and text is mid-grey, for light and dark notebooks.
"""

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from dockerlab.report.statistics import ecdf
from dockerlab.report.summary import finding, samples
from dockerlab.report.timelines import run_totals
from dockerlab.report.waterfall import Bar, waterfall
from dockerlab.units import human_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Plot", "plot_runs"]

# Readable on white and on JupyterLab's dark #111111: contrast about 4.4 to 1 on both.
INK = "#7a7a7a"

# Okabe and Ito, Color Universal Design (2008), without the ones too light for white; the blue is a
# little lighter, to be read on dark.
PHASE_COLOURS: Mapping[str, str] = {
    "lookup": "#7a7a7a",
    "pull": "#1F83C4",
    "create": "#E69F00",
    "start": "#009E73",
    "run": "#CC79A7",
}
CURVES: Mapping[str, tuple[str, str]] = {
    "cold": ("#1F83C4", "-"),
    "stored": ("#009E73", "-."),
    "cached": ("#D55E00", "--"),
}
DPI = 100
SCREEN_SCALE = 2
ROW_HEIGHT_IN = 0.24
WIDTH_IN = 10.0


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


def plot_runs(frame: pd.DataFrame) -> Plot:
    """Draw a timeline of one or many runs of one image.

    Parameters
    ----------
    frame : DataFrame
        A timeline; one run of one temperature is enough, then only its phases are drawn.

    Raises
    ------
    InvalidArgument
        The table is no timeline of one image on one engine.
    """
    from matplotlib.figure import Figure

    times = samples(frame)
    bars = {name: waterfall(_median_run(frame, name)) for name in times}
    rows = sum(map(len, bars.values())) + len(bars)
    has_spread = max(map(len, times.values())) > 1
    sentence = finding(frame)
    # Made without pyplot: no window, no registry of figures, no back end switched.
    height_in = max(2.8, 1.2 + rows * ROW_HEIGHT_IN)
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    figure.patch.set_alpha(0.0)
    figure.suptitle(sentence, color=INK, fontsize=11, fontweight="bold", x=0.01, ha="left")
    if has_spread:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_spread(right, times)
    else:
        left = figure.subplots()
    _draw_waterfall(left, bars)
    return Plot(figure, sentence)


def _median_run(frame: pd.DataFrame, temperature: str) -> pd.DataFrame:
    """Return the rows of the run whose total is nearest to the median."""
    totals = run_totals(frame)
    mine = totals[totals["temperature"] == temperature]
    distance = (mine["total_s"] - mine["total_s"].median()).abs()
    run = mine["run"].iloc[int(distance.argmin())]
    return pd.DataFrame(frame[(frame["temperature"] == temperature) & (frame["run"] == run)])


def _draw_waterfall(axes: "Axes", bars: Mapping[str, list[Bar]]) -> None:
    y, ticks, names = 0.0, [], []
    for temperature, rows in bars.items():
        name = f"{temperature}, {human_time(max(bar.end_s for bar in rows))}"
        axes.text(0, y, name, color=INK, fontweight="bold", va="center", fontsize=9)
        y += 1
        for bar in rows:
            _draw_bar(axes, y, bar)
            ticks.append(y)
            names.append(bar.label)
            y += 1
    axes.set_yticks(ticks, names, fontsize=8)
    axes.set_ylim(y - 0.4, -0.6)
    longest = max(bar.end_s for rows in bars.values() for bar in rows)
    # Room for the label behind the last bar.
    axes.set_xlim(0, longest * 1000 * 1.16)
    axes.set_xlabel("ms from the request, median run")
    _plain(axes)


def _draw_bar(axes: "Axes", y: float, bar: Bar) -> None:
    height = 0.42 if bar.is_part else 0.7
    spans = [(begin * 1000, max(0.0, length) * 1000) for begin, length in bar.spans]
    axes.broken_barh(
        spans,
        (y - height / 2, height),
        facecolors=PHASE_COLOURS[bar.group],
        edgecolors=INK,
        linewidth=0.5,
        hatch="////" if bar.is_part else None,
        alpha=0.75 if bar.is_part else 1.0,
    )
    text = human_time(bar.duration_s) + bar.note
    axes.annotate(
        text,
        (bar.end_s * 1000, y),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=INK,
    )


def _draw_spread(axes: "Axes", times: Mapping[str, list[float]]) -> None:
    for name, sample in times.items():
        values, shares = ecdf(sample)
        colour, stroke = CURVES[name]
        milliseconds = values * 1000
        # The step begins at the axis: before its first value the share is nothing.
        axes.step(
            [milliseconds[0], *milliseconds],
            [0.0, *shares],
            where="post",
            color=colour,
            linestyle=stroke,
            linewidth=2,
            label=f"{name}: median {human_time(float(pd.Series(sample).median()))}"
            f" (n = {len(sample)})",
        )
        median = float(pd.Series(sample).median()) * 1000
        axes.plot([median], [0.5], marker="o", color=colour, markersize=6)
    axes.set_ylim(0, 1.03)
    axes.set_xlim(left=0)
    axes.margins(x=0.08)
    axes.set_xlabel("total time of a run, ms")
    axes.set_ylabel("share of runs that were done")
    # Above the panel, where no curve is, whatever the times are.
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        frameon=False,
        labelcolor="linecolor",
        fontsize=8.5,
        handlelength=3,
    )
    _plain(axes)


def _plain(axes: "Axes") -> None:
    axes.patch.set_alpha(0.0)
    axes.tick_params(colors=INK, labelsize=8)
    for name, spine in axes.spines.items():
        spine.set_visible(name in {"left", "bottom"})
        spine.set_color(INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(9)
