"""The records of what a container uses; `stats` reads them."""

from dataclasses import dataclass, field
from typing import NamedTuple

from dockerlab.runtime.procfs import HostCpu

__all__ = ["CpuUsage", "DiskRow", "DiskUsage", "MemoryUsage", "PidsUsage", "Throttling", "Usage"]


class Throttling(NamedTuple):
    """How many periods of its quota have passed, in how many it was used up, and what that cost."""

    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuUsage:
    """Time on the CPU since the start, in nanoseconds; `per_cpu_ns` is v1's alone."""

    total_ns: int
    user_ns: int
    system_ns: int
    per_cpu_ns: tuple[int, ...] = ()
    throttling: Throttling = field(default_factory=Throttling)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUsage:
    """Memory; `stats` are the lines of memory.stat, none without a memory cgroup.

    `limit_bytes` is 0 without a limit; `max_usage_bytes` and `failures` are v1's alone.
    """

    usage_bytes: int
    limit_bytes: int = 0
    max_usage_bytes: int = 0
    failures: int = 0
    stats: dict[str, int] = field(default_factory=dict)


class DiskRow(NamedTuple):
    """One kind of operation on one disk; the numbers are 0 where only the sum is known."""

    major: int
    minor: int
    operation: str
    value: int


class DiskUsage(NamedTuple):
    """What was read and written: bytes, and requests."""

    bytes: tuple[DiskRow, ...] = ()
    requests: tuple[DiskRow, ...] = ()


class PidsUsage(NamedTuple):
    """Tasks, threads included; `limit` 0 is none."""

    current: int
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a container uses at one moment, and what the host does meanwhile.

    `interfaces` are the columns of net/dev by interface (`procfs.read_interfaces`).
    """

    cpu: CpuUsage
    memory: MemoryUsage
    pids: PidsUsage
    disks: DiskUsage
    interfaces: dict[str, list[int]]
    host: HostCpu
