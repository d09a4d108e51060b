"""The figure says its finding in its title, in its alternative text and as text."""

import base64
import io
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dockerlab.report.plots import Plot, plot_runs
from dockerlab.report.summary import finding
from tests.unit.report.runs import comparison


@pytest.fixture(scope="module")
def plot() -> Plot:
    return plot_runs(comparison())


def test_there_is_a_panel_of_phases_and_one_of_the_spread(plot: Plot) -> None:
    phases, spread = plot.figure.axes

    assert [text.get_text() for text in phases.get_yticklabels()] == [
        "look in the cache",
        "pull",
        "· download",
        "create",
        "run",
        "create",
        "run",
    ]
    legend = spread.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "cold: median 80 ms (n = 3)",
        "cached: median 20 ms (n = 3)",
    ]


def test_cold_stands_above_cached_on_the_same_axis(plot: Plot) -> None:
    phases = plot.figure.axes[0]
    heads = {text.get_text(): text.get_position()[1] for text in phases.texts}

    bottom, top = phases.get_ylim()
    assert bottom > top
    assert heads["cold, 80 ms"] < heads["cached, 20 ms"]


def test_bars_are_labelled_with_their_time(plot: Plot) -> None:
    labels = [text.get_text() for text in plot.figure.axes[0].texts]

    assert "69 ms" in labels
    assert "7 ms (2 layers)" in labels


def test_the_bundle_has_text_and_a_picture_with_its_alternative(plot: Plot) -> None:
    data, metadata = plot._repr_mimebundle_()

    assert data["text/plain"] == finding(comparison()) == metadata["image/png"]["alt"]
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert metadata["image/png"]["width"] == 1000


def test_the_background_is_transparent(plot: Plot) -> None:
    assert plot.figure.patch.get_alpha() == 0.0
    assert all(axes.patch.get_alpha() == 0.0 for axes in plot.figure.axes)


def test_it_can_be_saved(plot: Plot, tmp_path: Path) -> None:
    plot.savefig(tmp_path / "plot.svg")
    memory = io.BytesIO()
    plot.savefig(memory, format="png", dpi=50)

    assert "<svg" in (tmp_path / "plot.svg").read_text()
    assert memory.getvalue()


def test_one_run_has_only_its_phases() -> None:
    frame = comparison()

    assert len(plot_runs(frame[frame["run"] == 0]).figure.axes) == 1


def test_no_window_and_no_registry_of_figures_is_needed() -> None:
    code = (
        "import sys; from tests.unit.report.runs import comparison;"
        "comparison().lab.plot(); assert 'matplotlib.pyplot' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_engines_share_the_panels_of_a_temperature() -> None:
    both = pd.concat([comparison(), comparison(engine="docker")])
    figure = plot_runs(both).figure
    cold, cold_spread, cached, cached_spread = figure.axes

    assert {"dockerlab, cold, 80 ms", "docker, cold, 80 ms"} <= {
        text.get_text() for text in cold.texts
    }
    assert "docker, cached, 20 ms" in {text.get_text() for text in cached.texts}
    for axes in (cold_spread, cached_spread):
        # A colour, a stroke and a mark for each engine.
        curves = [line for line in axes.lines if len(line.get_xdata()) > 1]  # type: ignore[arg-type]
        assert len({line.get_color() for line in curves}) == 2
        assert len({line.get_linestyle() for line in curves}) == 2


def test_nothing_is_written_over_something_else() -> None:
    both = pd.concat([comparison(), comparison(engine="docker"), comparison(engine="podman")])
    figure = plot_runs(both).figure
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()

    for axes in figure.axes:
        legend = axes.get_legend()
        texts = [*axes.texts, *axes.get_yticklabels(), *(legend.get_texts() if legend else ())]
        boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        assert all(figure.bbox.padded(1).contains(*box.min) for box in boxes)
        assert all(figure.bbox.padded(1).contains(*box.max) for box in boxes)
