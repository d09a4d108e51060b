"""One measured run: what was asked for, and the phases it went through."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Sample", "Temperature"]

# design.md's temperatures: cold has neither image nor blobs in the store, cached has both.
Temperature = Literal["cold", "cached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of an experiment.

    Parameters
    ----------
    run : int
        Its place in the order of the experiment, from 0.
    temperature : str
        ``cold`` or ``cached``.
    rows : tuple of mapping
        One a phase, as `client.timeline` gives them.
    """

    run: int
    temperature: Temperature
    rows: tuple[Mapping[str, Any], ...]
