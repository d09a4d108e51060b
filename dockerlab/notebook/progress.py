"""The progress of a pull, layer by layer: a widget, or one line of text for each layer.

Both take the lines of the engine's progress stream (Engine API 1.44, `POST /images/create`) and
show what is in them; neither talks to the engine. In text no line is ever rewritten: a saved
notebook, a log file and nbval see the same lines.
"""

import html
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

from dockerlab.client.pull import PullLine
from dockerlab.config import process_environment
from dockerlab.notebook.text import say
from dockerlab.units import human_size

__all__ = ["LazyPull", "PullDisplay", "PullProgress", "TextDisplay", "WidgetDisplay"]

# Statuses that mean "nothing left to do for this layer" (moby, distribution/xfer).
DONE = ("Pull complete", "Already exists")

# Often enough for the eye, seldom enough for a slow connection to the browser.
REFRESH_S = 0.1


class LazyPull:
    """Shows a pull from its first line on, and nothing where none comes; use it in a `with`.

    Parameters
    ----------
    has_front_end : bool
        A kernel runs this. The environment's ``DOCKERLAB_WIDGETS=0`` asks for text all the same.
    """

    def __init__(self, *, has_front_end: bool) -> None:
        self._has_widgets = has_front_end and process_environment().get("DOCKERLAB_WIDGETS") != "0"
        self._display: PullDisplay | None = None

    def update(self, line: PullLine) -> None:
        """Take one line of the stream."""
        if self._display is None:
            self._display = WidgetDisplay() if self._has_widgets else TextDisplay(say)
        self._display.update(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._display is not None:
            self._display.close()


class PullDisplay(Protocol):
    """What shows a pull."""

    def update(self, line: PullLine) -> None:
        """Take one line of the stream."""
        ...

    def close(self) -> None:
        """Take that no line follows; leave something that can be saved."""
        ...


@dataclass(slots=True)
class Layer:
    """Where one layer is. Bytes; `total_bytes` 0 until the engine says it."""

    status: str = ""
    done_bytes: int = 0
    total_bytes: int = 0

    @property
    def is_done(self) -> bool:
        """Nothing is left to do."""
        return self.status in DONE

    @property
    def share(self) -> float:
        """Between 0 and 1: the bytes of the step the layer is in."""
        if self.is_done:
            return 1.0
        return min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else 0.0


class PullProgress:
    """The state of a pull: a fold over the lines of its stream."""

    def __init__(self) -> None:
        self.layers: dict[str, Layer] = {}
        self.messages: list[str] = []
        self.messages_before_layers = 0

    def take(self, line: PullLine) -> tuple[str, Layer] | None:
        """Fold one line in; return the layer it was about, or None for a message."""
        if not line.id or line.status.startswith("Pulling from"):
            if line.status:
                self.messages.append(str(line))
            return None
        if not self.layers:
            self.messages_before_layers = len(self.messages)
        layer = self.layers.setdefault(line.id, Layer())
        layer.status = line.status
        if line.current is not None:
            layer.done_bytes = line.current
            layer.total_bytes = line.total or layer.total_bytes
        return line.id, layer


class TextDisplay:
    """Messages as they come, and one line for each layer when it is there.

    Parameters
    ----------
    write : callable
        Takes one line without its end.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._progress = PullProgress()

    def update(self, line: PullLine) -> None:
        """Take one line of the stream."""
        seen = len(self._progress.messages)
        touched = self._progress.take(line)
        for message in self._progress.messages[seen:]:
            self._write(message)
        if touched is None:
            return
        if touched[1].is_done:
            self._write(_line(*touched))

    def close(self) -> None:
        """Do nothing: every line is already out."""


class WidgetDisplay:
    """A bar for each layer and a line for the whole; at the end the same as plain HTML.

    The widget is displayed here, so make it in the main thread; `update` only sets traits and may
    come from another. When the pull ends the output is replaced by its static form, which needs no
    front end: that is what a saved notebook shows.
    """

    def __init__(self) -> None:
        import ipywidgets
        from IPython import display as shown

        self._widgets = ipywidgets
        self._progress = PullProgress()
        self._rows: dict[str, _Row] = {}
        self._drawn_s = 0.0
        self._headline = ipywidgets.HTML()
        self._box = ipywidgets.VBox([self._headline])
        bundle = {**self._box._repr_mimebundle_(), "text/plain": "pulling"}
        show: Any = shown.display  # IPython has no type for it
        self._handle = show(bundle, raw=True, display_id=True)

    def update(self, line: PullLine) -> None:
        """Take one line of the stream."""
        touched = self._progress.take(line)
        now = time.monotonic()
        if touched is None or touched[1].is_done or now - self._drawn_s >= REFRESH_S:
            self._drawn_s = now
            self._draw()

    def close(self) -> None:
        """Replace the widget by what it showed last."""
        messages, begin = self._progress.messages, self._progress.messages_before_layers
        layers = [_line(name, layer) for name, layer in self._progress.layers.items()]
        text = "\n".join([*messages[:begin], *layers, *messages[begin:]]).strip()
        self._handle.update({"text/plain": text, "text/html": _static(text)}, raw=True)
        for row in self._rows.values():
            row.close()
        self._headline.close()
        self._box.close()

    def _draw(self) -> None:
        for name, layer in self._progress.layers.items():
            if name not in self._rows:
                self._rows[name] = _Row(self._widgets, name)
                self._box.children = (*self._box.children, self._rows[name].box)
            self._rows[name].show(layer)
        self._headline.value = html.escape(_headline(self._progress))


class _Row:
    """The widgets of one layer."""

    def __init__(self, ipywidgets: Any, name: str) -> None:
        self._bar = ipywidgets.FloatProgress(
            min=0.0, max=1.0, description=name, style={"description_width": "9em"}
        )
        self._text = ipywidgets.HTML()
        self.box = ipywidgets.HBox([self._bar, self._text])

    def show(self, layer: Layer) -> None:
        """Draw how far the layer is."""
        self._bar.value = layer.share
        self._bar.bar_style = "success" if layer.is_done else ""
        self._text.value = html.escape(_state(layer))

    def close(self) -> None:
        """Take the row away."""
        for widget in (self._bar, self._text, self.box):
            widget.close()


def _state(layer: Layer) -> str:
    if layer.is_done or not layer.total_bytes:
        size = f" ({human_size(layer.total_bytes)})" if layer.total_bytes else ""
        return f"{layer.status}{size}"
    return f"{layer.status} {human_size(layer.done_bytes)}/{human_size(layer.total_bytes)}"


def _line(name: str, layer: Layer) -> str:
    return f"{name}: {_state(layer)}"


def _headline(progress: PullProgress) -> str:
    layers = progress.layers.values()
    done = sum(layer.is_done for layer in layers)
    total = sum(layer.total_bytes for layer in layers)
    counted = f" · {done} of {len(layers)} layers · {human_size(total)}" if layers else ""
    return (progress.messages[-1] if progress.messages else "Pulling") + counted


def _static(text: str) -> str:
    # As the text of a stream looks, also where a front end styles <pre> as a quotation.
    style = "white-space: pre-wrap; font-family: var(--jp-code-font-family, monospace);"
    style += " font-size: var(--jp-code-font-size, inherit)"
    return f'<div style="{style}">{html.escape(text)}</div>'
