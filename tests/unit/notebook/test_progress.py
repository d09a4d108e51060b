"""A pull is shown layer by layer: in text one line each, as a widget by its traits."""

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dockerlab.client.pull import PullLine
from dockerlab.notebook.progress import LazyPull, PullProgress, TextDisplay, WidgetDisplay

LINES = [
    PullLine(status="Pulling from library/debian", id="latest"),
    PullLine(status="Pulling fs layer", id="aaa"),
    PullLine(status="Pulling fs layer", id="bbb"),
    PullLine(status="Downloading", id="aaa", current=500, total=2000),
    PullLine(status="Downloading", id="bbb", current=10, total=40),
    PullLine(status="Download complete", id="aaa"),
    PullLine(status="Extracting", id="aaa", current=2000, total=2000),
    PullLine(status="Pull complete", id="aaa"),
    PullLine(status="Already exists", id="bbb"),
    PullLine(status="Digest: sha256:123"),
]


def test_text_has_one_line_for_each_layer_and_none_twice() -> None:
    lines: list[str] = []
    display = TextDisplay(lines.append)
    for line in LINES:
        display.update(line)
    display.close()

    assert lines == [
        "latest: Pulling from library/debian",
        "aaa: Pull complete (2kB)",
        "bbb: Already exists (40B)",
        "Digest: sha256:123",
    ]


def test_the_share_of_a_layer_grows_to_one() -> None:
    progress = PullProgress()
    shares = []
    for line in LINES:
        touched = progress.take(line)
        if touched is not None and touched[0] == "aaa":
            shares.append(touched[1].share)

    assert shares == [0.0, 0.25, 0.25, 1.0, 1.0]


def test_nothing_is_shown_where_nothing_is_pulled(capsys: pytest.CaptureFixture[str]) -> None:
    with LazyPull(has_front_end=False):
        pass

    assert capsys.readouterr().out == ""


def test_the_environment_asks_for_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKERLAB_WIDGETS", "0")
    with LazyPull(has_front_end=True) as show:
        show.update(LINES[-1])

    assert capsys.readouterr().out == "Digest: sha256:123\n"


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What IPython would send to a front end, in order."""
    shell = InteractiveShell.instance()
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        shell.display_pub, "publish", lambda data, **rest: sent.append({"data": data, **rest})
    )
    return sent


def test_a_widget_is_displayed_once_and_replaced_by_what_needs_no_front_end(
    displayed: list[dict[str, Any]],
) -> None:
    display = WidgetDisplay()
    for line in LINES:
        display.update(line)
    bars = [row._bar.value for row in display._rows.values()]
    display.close()

    first, last = displayed
    assert "application/vnd.jupyter.widget-view+json" in first["data"]
    assert bars == [1.0, 1.0]
    assert last["update"]
    assert sorted(last["data"]) == ["text/html", "text/plain"]
    assert last["data"]["text/plain"].splitlines() == [
        "latest: Pulling from library/debian",
        "aaa: Pull complete (2kB)",
        "bbb: Already exists (40B)",
        "Digest: sha256:123",
    ]


def test_a_widgets_last_form_keeps_the_order_of_the_lines(displayed: list[dict[str, Any]]) -> None:
    display = WidgetDisplay()
    announcement = "Docker Hub cannot be reached: using the built-in hello-world"
    for line in (PullLine(status=announcement), *LINES):
        display.update(line)
    display.close()

    text = displayed[-1]["data"]["text/plain"].splitlines()
    assert text[:3] == [
        announcement,
        "latest: Pulling from library/debian",
        "aaa: Pull complete (2kB)",
    ]
