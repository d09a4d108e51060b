"""The phases of one run as the bars of a waterfall: which rows, in which order, how long.

It decides what is drawn and draws nothing. The client's phases are the rows, for they are what a
person waits for; the engine's phases of the pull stand below the pull that they make up.
"""

from dataclasses import dataclass

import pandas as pd

__all__ = ["Bar", "waterfall"]

# The client's phases in the order of `docker run`: phase, label, colour group.
_ROWS = (
    ("lookup", "look in the cache", "lookup"),
    ("pull", "pull", "pull"),
    ("create", "create", "create"),
    ("attach", "attach", "start"),
    ("start", "start", "start"),
    ("exit", "run", "run"),
)
# The engine's phases of a pull; those of one kind share a row, however many layers there are.
_PARTS = ("resolve", "manifest", "download", "verify", "unpack", "commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row of a waterfall. Times in seconds from the request.

    Parameters
    ----------
    label, note : str
        Before and behind the bar.
    group : str
        Its colour.
    spans : tuple of (float, float)
        Begin and length of each piece.
    is_part : bool
        It is a part of the row above.
    """

    label: str
    group: str
    spans: tuple[tuple[float, float], ...]
    note: str = ""
    is_part: bool = False

    @property
    def end_s(self) -> float:
        """Where the last piece ends."""
        return max(begin + length for begin, length in self.spans)

    @property
    def duration_s(self) -> float:
        """From the first piece's begin to the last one's end."""
        return self.end_s - min(begin for begin, _ in self.spans)


def waterfall(run: pd.DataFrame) -> list[Bar]:
    """Return the bars of one run, from the rows of its timeline."""
    bars: list[Bar] = []
    for phase, label, group in _ROWS:
        spans = _spans(run, "client", phase)
        if not spans:
            continue
        bars.append(Bar(label=label, group=group, spans=spans))
        if phase == "pull":
            bars += _parts(run)
    return bars


def _parts(run: pd.DataFrame) -> list[Bar]:
    parts = []
    for phase in _PARTS:
        spans = _spans(run, "engine", phase)
        if spans:
            # What no layer is named in, as a second look at a registry, is not counted as one.
            layers = run.loc[(run["side"] == "engine") & (run["phase"] == phase), "layer"]
            count = layers[layers.astype(str) != ""].nunique()
            note = f" ({count} layers)" if count > 1 else ""
            parts.append(
                Bar(label=f"· {phase}", group="pull", spans=spans, note=note, is_part=True)
            )
    return parts


def _spans(run: pd.DataFrame, side: str, phase: str) -> tuple[tuple[float, float], ...]:
    rows = run[(run["side"] == side) & (run["phase"] == phase)]
    return tuple(
        (float(begin), float(length))
        for begin, length in zip(rows["begin_s"], rows["duration_s"], strict=True)
    )
