"""What a container uses: read from its cgroups, and from /proc where it is in none that counts.

On v1 a container is only in the hierarchies that limit it (`v1.V1Tree`), and without root it may be
in no cgroup at all. What is missing there is the sum over its processes: CPU time in whole ticks,
memory as their resident sets (pages that they share are counted for each), bytes of disks without
the disks' numbers. Not import-light: for the daemon.

See cgroup-v1/{memory,cpuacct,blkio-controller}.rst and cgroup-v2.rst of the kernel, proc_pid_io(5).
"""

import dataclasses
import os
from functools import cached_property

from dockerlab.runtime import procfs
from dockerlab.runtime.cgroups import folder
from dockerlab.runtime.cgroups.tree import CgroupTree
from dockerlab.runtime.cgroups.usage import (
    CpuUsage,
    DiskRow,
    DiskUsage,
    MemoryUsage,
    PidsUsage,
    Throttling,
    Usage,
)

__all__ = ["members", "read_usage"]

_NS_PER_TICK = 10**9 // procfs.TICKS_PER_S
_NS_PER_US = 1000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# v1 writes "no limit" as the largest number of pages that fits into 63 bits, v2 as "max".
_UNLIMITED_BYTES = 1 << 62
_V2_BYTES = {"rbytes": "read", "wbytes": "write"}
_V2_REQUESTS = {"rios": "read", "wios": "write"}
_PROCESS_BYTES = {"read_bytes": "read", "write_bytes": "write"}


def members(tree: CgroupTree | None, path: str, pid: int) -> list[int]:
    """Return the processes of a container, as this pid namespace numbers them.

    Parameters
    ----------
    tree, path
        Its cgroup; None and "" without one.
    pid : int
        Its first process.
    """
    found = tree.processes(path) if tree is not None and path else []
    return found or procfs.descendants(pid)


def read_usage(tree: CgroupTree | None, path: str, pid: int, *, has_network: bool) -> Usage:
    """Read what a container uses now.

    Parameters
    ----------
    tree, path, pid
        As for `members`.
    has_network : bool
        It has interfaces of its own, and not the host's.

    Raises
    ------
    OSError
        The container has just ended.
    """
    processes = _Processes(tree, path, pid)
    reader = _V2(tree, path) if tree is not None and tree.version != 1 else _V1(tree, path)
    return Usage(
        cpu=reader.cpu() or dataclasses.replace(processes.cpu(), throttling=reader.throttling()),
        memory=reader.memory() or processes.memory(),
        pids=reader.pids() or processes.pids(),
        disks=reader.disks() or processes.disks(),
        interfaces=procfs.read_interfaces(pid) if has_network else {},
        host=procfs.read_host_cpu(),
    )


class _V1:
    """The hierarchies of v1; each answer is None where the container is not in the one for it."""

    def __init__(self, tree: CgroupTree | None, path: str) -> None:
        self._tree = tree
        self._path = path

    def _folder(self, controller: str) -> str:
        return self._tree.folder(self._path, controller) if self._tree and self._path else ""

    def cpu(self) -> CpuUsage | None:
        """Return time on the CPU."""
        here = self._folder("cpuacct")
        if not here:
            return None
        times = _numbers(here, "cpuacct.stat")
        return CpuUsage(
            total_ns=int(folder.read(here, "cpuacct.usage")),
            user_ns=times.get("user", 0) * _NS_PER_TICK,
            system_ns=times.get("system", 0) * _NS_PER_TICK,
            per_cpu_ns=tuple(map(int, folder.read(here, "cpuacct.usage_percpu").split())),
            throttling=self.throttling(),
        )

    def throttling(self) -> Throttling:
        """Return how its quota held it back."""
        here = self._folder("cpu")
        stat = _numbers(here, "cpu.stat") if here else {}
        return Throttling(
            stat.get("nr_periods", 0), stat.get("nr_throttled", 0), stat.get("throttled_time", 0)
        )

    def memory(self) -> MemoryUsage | None:
        """Return memory in use."""
        here = self._folder("memory")
        if not here:
            return None
        usage, most, failures, limit = (
            int(folder.read(here, f"memory.{name}"))
            for name in ("usage_in_bytes", "max_usage_in_bytes", "failcnt", "limit_in_bytes")
        )
        return MemoryUsage(
            usage_bytes=usage,
            max_usage_bytes=most,
            failures=failures,
            limit_bytes=0 if limit >= _UNLIMITED_BYTES else limit,
            stats=_numbers(here, "memory.stat"),
        )

    def pids(self) -> PidsUsage | None:
        """Return how many tasks there are."""
        here = self._folder("pids")
        return _pids(here) if here else None

    def disks(self) -> DiskUsage | None:
        """Return what went to and from disks."""
        here = self._folder("blkio")
        if not here:
            return None
        names = ("io_service_bytes", "io_serviced")
        return DiskUsage(*(_v1_rows(here, f"blkio.throttle.{n}_recursive") for n in names))


class _V2:
    """The unified tree; each answer is None where no controller counts for it."""

    def __init__(self, tree: CgroupTree, path: str) -> None:
        self._here = tree.folder(path, "") if path else ""

    def cpu(self) -> CpuUsage | None:
        """Return time on the CPU."""
        if not self._here:
            return None
        stat = _numbers(self._here, "cpu.stat")
        if "usage_usec" not in stat:
            return None
        return CpuUsage(
            total_ns=stat["usage_usec"] * _NS_PER_US,
            user_ns=stat.get("user_usec", 0) * _NS_PER_US,
            system_ns=stat.get("system_usec", 0) * _NS_PER_US,
            throttling=self.throttling(),
        )

    def throttling(self) -> Throttling:
        """Return how its quota held it back."""
        stat = _numbers(self._here, "cpu.stat") if self._here else {}
        throttled_ns = stat.get("throttled_usec", 0) * _NS_PER_US
        return Throttling(stat.get("nr_periods", 0), stat.get("nr_throttled", 0), throttled_ns)

    def memory(self) -> MemoryUsage | None:
        """Return memory in use."""
        if not _is_there(self._here, "memory.current"):
            return None
        return MemoryUsage(
            usage_bytes=int(folder.read(self._here, "memory.current")),
            limit_bytes=_number_or_none(folder.read(self._here, "memory.max")),
            stats=_numbers(self._here, "memory.stat"),
        )

    def pids(self) -> PidsUsage | None:
        """Return how many tasks there are."""
        return _pids(self._here) if _is_there(self._here, "pids.current") else None

    def disks(self) -> DiskUsage | None:
        """Return what went to and from disks."""
        if not _is_there(self._here, "io.stat"):
            return None
        lines = folder.read(self._here, "io.stat").splitlines()
        return DiskUsage(_v2_rows(lines, _V2_BYTES), _v2_rows(lines, _V2_REQUESTS))


class _Processes:
    """The sums over a container's processes, who are looked up when one is asked for."""

    def __init__(self, tree: CgroupTree | None, path: str, pid: int) -> None:
        self._cgroup = tree, path, pid

    @cached_property
    def _alive(self) -> list[procfs.ProcessTimes]:
        return procfs.alive(members(*self._cgroup))

    def cpu(self) -> CpuUsage:
        """Return time on the CPU."""
        user = sum(times.user_with_children_ns for times in self._alive)
        system = sum(times.system_with_children_ns for times in self._alive)
        return CpuUsage(total_ns=user + system, user_ns=user, system_ns=system)

    def memory(self) -> MemoryUsage:
        """Return memory in use."""
        resident = sum(_resident_pages(times.pid) for times in self._alive) * _PAGE_BYTES
        # The names of v1's memory.stat that clients take for granted; no file pages are counted.
        stats = dict.fromkeys(("cache", "inactive_file", "total_cache", "total_inactive_file"), 0)
        return MemoryUsage(
            usage_bytes=resident, stats=stats | {"rss": resident, "total_rss": resident}
        )

    def pids(self) -> PidsUsage:
        """Return how many tasks there are."""
        return PidsUsage(sum(times.threads for times in self._alive))

    def disks(self) -> DiskUsage:
        """Return what went to and from disks."""
        sums = dict.fromkeys(_PROCESS_BYTES.values(), 0)
        for times in self._alive:
            for key, value in _process_io(times.pid).items():
                if key in _PROCESS_BYTES:
                    sums[_PROCESS_BYTES[key]] += value
        return DiskUsage(tuple(DiskRow(0, 0, name, value) for name, value in sums.items()))


def _numbers(here: str, name: str) -> dict[str, int]:
    """Return a file of lines ``key number``."""
    pairs = (line.split() for line in folder.read(here, name).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004 - a pair


def _is_there(here: str, name: str) -> bool:
    return bool(here) and os.path.exists(f"{here}/{name}")


def _pids(here: str) -> PidsUsage:
    limit = _number_or_none(folder.read(here, "pids.max"))
    return PidsUsage(int(folder.read(here, "pids.current")), limit)


def _number_or_none(text: str) -> int:
    return 0 if text.strip() == "max" else int(text)


def _v1_rows(here: str, name: str) -> tuple[DiskRow, ...]:
    """Return the lines ``8:0 Read 4096``, without the sum of all at the end."""
    if not os.path.exists(f"{here}/{name}"):
        return ()
    rows = []
    for line in folder.read(here, name).splitlines():
        device, _, rest = line.partition(" ")
        operation, _, value = rest.partition(" ")
        if ":" in device:
            major, minor = map(int, device.split(":"))
            rows.append(DiskRow(major, minor, operation, int(value)))
    return tuple(rows)


def _v2_rows(lines: list[str], operations: dict[str, str]) -> tuple[DiskRow, ...]:
    """Return those of ``8:0 rbytes=4096 wbytes=0 rios=1 …`` that are asked for."""
    rows = []
    for line in lines:
        device, *words = line.split()
        major, minor = map(int, device.split(":"))
        pairs = (word.split("=") for word in words)
        rows += [
            DiskRow(major, minor, operations[key], int(value))
            for key, value in pairs
            if key in operations
        ]
    return tuple(rows)


def _resident_pages(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _process_io(pid: int) -> dict[str, int]:
    """Return what a process, and its children that have ended, did to disks."""
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            lines = file.read().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    return {key: int(value) for key, _, value in (line.partition(": ") for line in lines)}
