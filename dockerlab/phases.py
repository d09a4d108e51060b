"""Phases: where the time of a run goes, as values.

A phase is a named interval on the monotonic clock of the host. It is not a statistic and not a
table: `client.timeline` joins the phases of both sides to rows, `report` reads those.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["EMULATED_TIERS", "Phase", "Stopwatch"]

# Where every system call of a program is stopped to be translated: what is measured there is how
# long that takes, so it is never compared with other tiers.
EMULATED_TIERS = frozenset({"ptrace"})

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One interval of a run.

    Parameters
    ----------
    phase : str
        One of ``resolve, lookup, manifest, download, verify, unpack, commit, create, network,
        rootfs, start, first_byte, exit, remove``; of the client also ``pull`` (all of it) and
        ``attach``.
    layer : str
        Digest of the layer that the phase belongs to; empty for the others.
    begin_s : float
        Seconds on ``CLOCK_MONOTONIC``.
    duration_s : float
        Seconds; 0 for a point such as ``first_byte``.
    size_bytes : int
        Bytes that the phase moved; 0 where that has no meaning.
    """

    phase: str
    begin_s: float
    duration_s: float
    layer: str = ""
    size_bytes: int = 0


@dataclass(slots=True)
class Stopwatch:
    """Collects phases; appending is atomic, so threads may share one."""

    clock: Clock = time.monotonic
    phases: list[Phase] = field(default_factory=list)

    def add(
        self, phase: str, begin_s: float, end_s: float, *, layer: str = "", size_bytes: int = 0
    ) -> None:
        """Record the interval from `begin_s` to `end_s`."""
        self.phases.append(
            Phase(
                phase=phase,
                begin_s=begin_s,
                duration_s=max(0.0, end_s - begin_s),
                layer=layer,
                size_bytes=size_bytes,
            )
        )

    @contextmanager
    def measure(self, phase: str, *, layer: str = "") -> Iterator[None]:
        """Record the time that the block takes, also when it raises."""
        begin = self.clock()
        try:
            yield
        finally:
            self.add(phase, begin, self.clock(), layer=layer)
