"""The record of what a container uses at one moment, and that of its processes."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from dockerlab.engine.container import NEVER, Container
from dockerlab.runtime.cgroups.usage import CpuUsage, DiskRow, MemoryUsage, Usage

__all__ = [
    "CpuUsage",
    "DiskRow",
    "MemoryUsage",
    "ProcessTable",
    "Sample",
    "Usage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A reading; `usage` is None of a container that does not run."""

    container: Container
    memory_bytes: int  # the host's, which is the limit where there is none
    read_at: datetime = NEVER
    usage: Usage | None = None


class ProcessTable(NamedTuple):
    """What ``ps`` shows: the heads of the columns, and a row a process."""

    titles: list[str]
    rows: list[list[str]]
