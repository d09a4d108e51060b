"""Where the time of one run went: a value with rows, made a table only when somebody looks.

Client side and engine side share the monotonic clock of the host; times of a row count from the
beginning of the run. Nothing is drawn and no statistic is computed here: that is `report`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from dockerlab.client.session import Session, fetch_json
from dockerlab.errors import NotFound
from dockerlab.phases import EMULATED_TIERS, Phase

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "Temperature", "Timeline", "TimelineRow", "fetch_phases"]

Side = Literal["client", "engine"]
Temperature = Literal["cold", "stored", "cached"]

# Phases of the client that the summary shows, in this order, and what it calls them.
_SHOWN = (
    ("pull", "pull"),
    ("create", "create"),
    ("start", "start"),
    ("exit", "run"),
    ("remove", "remove"),
)
# Phases of the engine that make up a pull.
_PULL_PARTS = ("manifest", "download", "unpack")

# From here on the summary counts in seconds.
_SECONDS_FROM_S = 10.0


class TimelineRow(TypedDict):
    """One row of the tidy table: one phase."""

    engine: str
    host: str
    tier: str
    image: str
    temperature: Temperature
    run: int
    side: Side
    phase: str
    layer: str
    begin_s: float
    duration_s: float
    bytes: int


COLUMNS = tuple(TimelineRow.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The phases of one run.

    Parameters
    ----------
    engine, host, tier : str
        Where it ran; see `Session`.
    image : str
        Familiar reference.
    temperature : str
        ``cold`` when the image was pulled first, ``stored`` when its blobs were there, else
        ``cached``.
    run : int
        Number of the run within an experiment; change it with ``dataclasses.replace``.
    begin_s : float
        Beginning of the run, seconds on CLOCK_MONOTONIC.
    client, engine_side : tuple of Phase
        What each side measured; the latter is empty for engines that are not ours.
    """

    engine: str
    host: str
    tier: str
    image: str
    temperature: Temperature
    begin_s: float
    client: tuple[Phase, ...]
    engine_side: tuple[Phase, ...] = ()
    run: int = 0

    @property
    def is_emulated(self) -> bool:
        """Tell whether the times are those of an emulation, and of no use beside others."""
        return self.tier in EMULATED_TIERS

    @property
    def rows(self) -> list[TimelineRow]:
        """One row a phase, in the order of their beginning within each side."""
        sides: tuple[tuple[Side, tuple[Phase, ...]], ...] = (
            ("client", self.client),
            ("engine", self.engine_side),
        )
        return [
            self._row(side, phase)
            for side, phases in sides
            for phase in sorted(phases, key=lambda phase: phase.begin_s)
        ]

    @property
    def frame(self) -> "pd.DataFrame":
        """The rows as a DataFrame; pandas is imported by this."""
        from dockerlab.report.timelines import timeline_frame

        return timeline_frame(self.rows)

    @property
    def duration_s(self) -> float:
        """Seconds from the beginning of the run to the last thing that the client saw."""
        ends = (phase.begin_s + phase.duration_s for phase in self.client)
        return max(ends, default=self.begin_s) - self.begin_s

    def spent_s(self, phase: str, *, side: Side = "client") -> float:
        """Return the seconds during which a phase was under way, overlaps counted once."""
        phases = self.client if side == "client" else self.engine_side
        return _covered_s(
            (item.begin_s, item.begin_s + item.duration_s) for item in phases if item.phase == phase
        )

    def summary_line(self) -> str:
        """Return one line for people, such as ``cached · 14 ms: create 2 · start 7 · run 5``.

        Under PRoot it says ``cached, emulated``. Attaching is counted to the start: it is done
        before it, for its sake.
        """
        in_seconds = self.duration_s >= _SECONDS_FROM_S
        parts = []
        for phase, label in _SHOWN:
            spent_s = self.spent_s(phase)
            if phase == "start":
                spent_s += self.spent_s("attach")
            if spent_s > 0:
                detail = self._pull_detail(in_seconds=in_seconds) if phase == "pull" else ""
                parts.append(f"{label} {_number(spent_s, in_seconds=in_seconds)}{detail}")
        unit = "s" if in_seconds else "ms"
        total = _number(self.duration_s, in_seconds=in_seconds)
        kind = f"{self.temperature}, emulated" if self.is_emulated else self.temperature
        return f"{kind} · {total} {unit}: {' · '.join(parts)}"

    def _row(self, side: Side, phase: Phase) -> TimelineRow:
        return TimelineRow(
            engine=self.engine,
            host=self.host,
            tier=self.tier,
            image=self.image,
            temperature=self.temperature,
            run=self.run,
            side=side,
            phase=phase.phase,
            layer=phase.layer,
            begin_s=phase.begin_s - self.begin_s,
            duration_s=phase.duration_s,
            bytes=phase.size_bytes,
        )

    def _pull_detail(self, *, in_seconds: bool) -> str:
        spent = {part: self.spent_s(part, side="engine") for part in _PULL_PARTS}
        shown = [
            f"{part} {_number(spent_s, in_seconds=in_seconds)}"
            for part, spent_s in spent.items()
            if spent_s > 0
        ]
        return f" ({' · '.join(shown)})" if shown else ""


def fetch_phases(session: Session, kind: Literal["containers", "images"], name: str) -> list[Phase]:
    """Ask our own engine for the phases that it measured; [] for another engine.

    Parameters
    ----------
    session : Session
        The engine to ask.
    kind : str
        ``containers`` for a container's last run, ``images`` for a reference's last pull.
    name : str
        Container id, or image reference.
    """
    if not session.is_dockerlab:
        return []
    try:
        answer = fetch_json(session, f"/dockerlab/{kind}/{name}/phases")
    except NotFound:
        return []
    return [_phase(item) for item in answer] if isinstance(answer, list) else []


def _phase(item: dict[str, str | float | int]) -> Phase:
    return Phase(
        phase=str(item["phase"]),
        layer=str(item["layer"]),
        begin_s=float(item["begin_s"]),
        duration_s=float(item["duration_s"]),
        size_bytes=int(item["size_bytes"]),
    )


def _covered_s(intervals: Iterable[tuple[float, float]]) -> float:
    covered_s, reached_s = 0.0, float("-inf")
    for begin_s, end_s in sorted(intervals):
        covered_s += max(0.0, end_s - max(begin_s, reached_s))
        reached_s = max(reached_s, end_s)
    return covered_s


def _number(seconds: float, *, in_seconds: bool) -> str:
    if in_seconds:
        return f"{seconds:.1f}"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f}" if milliseconds >= 1 else f"{milliseconds:.1f}"
