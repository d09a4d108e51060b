"""The two panels that figures are made of: a waterfall of phases, and the spread of total times.

It knows matplotlib's axes and nothing of engines or temperatures: what is drawn comes as values.
Colours are Okabe and Ito's, which every common kind of colour blindness tells apart, and no meaning
is in a colour alone: bars are labelled, curves differ in their stroke and their mark. Text is
mid-grey, for light and dark notebooks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from dockerlab.report.statistics import ecdf
from dockerlab.report.waterfall import Bar
from dockerlab.units import human_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CURVES", "INK", "Curve", "Stroke", "draw_spread", "draw_waterfall", "row_count"]

# Readable on white and on JupyterLab's dark #111111: contrast about 4.4 to 1 on both.
INK = "#7a7a7a"

# Okabe and Ito, Color Universal Design (2008), without the ones too light for white; the blue is a
# little lighter, to be read on dark.
BLUE, VERMILION, GREEN, PURPLE, ORANGE = "#1F83C4", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
PHASE_COLOURS: Mapping[str, str] = {
    "lookup": INK,
    "pull": BLUE,
    "create": ORANGE,
    "start": GREEN,
    "run": PURPLE,
}
# Curves further apart than this factor share no linear axis that shows them both.
LINEAR_UP_TO = 12.0


@dataclass(frozen=True, slots=True)
class Stroke:
    """How a curve is drawn."""

    colour: str
    line: str | tuple[int, tuple[int, ...]]
    mark: str


CURVES: Sequence[Stroke] = (
    Stroke(BLUE, "-", "o"),
    Stroke(VERMILION, "--", "s"),
    Stroke(GREEN, "-.", "^"),
    Stroke(PURPLE, ":", "D"),
    Stroke(ORANGE, (0, (5, 1, 1, 1, 1, 1)), "v"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One sample and its stroke."""

    label: str
    sample: Sequence[float]
    stroke: Stroke


def row_count(bars: Mapping[str, Sequence[Bar]]) -> int:
    """Return how many rows a waterfall has, headings included."""
    return sum(map(len, bars.values())) + len(bars)


def draw_waterfall(axes: "Axes", bars: Mapping[str, Sequence[Bar]], *, unit: str) -> None:
    """Draw the phases of one run after the other, on one time axis.

    Parameters
    ----------
    axes : Axes
        Where to.
    bars : mapping of str to sequence of Bar
        By heading.
    unit : str
        What stands below the axis.
    """
    from matplotlib.transforms import offset_copy

    # Headings stand clear of the axis.
    clear = offset_copy(axes.transData, axes.get_figure(root=True), x=4, units="points")
    y, ticks, names = 0.0, [], []
    for heading, rows in bars.items():
        name = f"{heading}, {human_time(max(bar.end_s for bar in rows))}"
        axes.text(
            0, y, name, transform=clear, color=INK, fontweight="bold", va="center", fontsize=9
        )
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
    axes.set_xlabel(unit)
    _plain(axes)


def draw_spread(axes: "Axes", curves: Sequence[Curve]) -> None:
    """Draw the empirical distribution of each sample, with its median."""
    for curve in curves:
        values, shares = ecdf(curve.sample)
        milliseconds = values * 1000
        stroke = curve.stroke
        middle_s = median(curve.sample)
        axes.step(
            # The step begins at the axis: before its first value the share is nothing.
            [milliseconds[0], *milliseconds],
            [0.0, *shares],
            where="post",
            color=stroke.colour,
            linestyle=stroke.line,
            linewidth=2,
            label=f"{curve.label}: median {human_time(middle_s)} (n = {len(curve.sample)})",
        )
        axes.plot([middle_s * 1000], [0.5], marker=stroke.mark, color=stroke.colour, markersize=6)
    axes.set_ylim(0, 1.03)
    _choose_scale(axes, [1000 * value for curve in curves for value in curve.sample])
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


def _choose_scale(axes: "Axes", milliseconds: Sequence[float]) -> None:
    if max(milliseconds) <= LINEAR_UP_TO * min(milliseconds):
        axes.set_xlim(left=0)
        axes.margins(x=0.08)
        axes.set_xlabel("total time of a run, ms")
        return
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.set_xscale("log")
    axes.set_xlim(min(milliseconds) * 0.8, max(milliseconds) * 1.25)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("total time of a run, ms (logarithmic)")


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
    axes.annotate(
        human_time(bar.duration_s) + bar.note,
        (bar.end_s * 1000, y),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=INK,
    )


def _plain(axes: "Axes") -> None:
    axes.patch.set_alpha(0.0)
    axes.tick_params(colors=INK, labelsize=8, which="both")
    for name, spine in axes.spines.items():
        spine.set_visible(name in {"left", "bottom"})
        spine.set_color(INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(9)
