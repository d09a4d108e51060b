"""One measured run: what was asked for, and the phases it went through."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Cell", "Sample", "Temperature"]

# As docs/glossary.md has them: cold has neither image nor blobs in the store, cached has both.
Temperature = Literal["cold", "cached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One way to run: on which engine ('' is the only one), at which temperature."""

    engine: str = ""
    temperature: Temperature = "cached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of an experiment.

    Parameters
    ----------
    run : int
        Its place in the order of the experiment, from 0.
    cell : Cell
        The way it was run.
    rows : tuple of mapping
        One a phase, as `client.timeline` gives them.
    """

    run: int
    cell: Cell
    rows: tuple[Mapping[str, Any], ...]
