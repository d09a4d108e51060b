"""What the kernel says of processes in /proc: who is in a container, and what each has used.

Not import-light: for the daemon. Whatever comes from a process of a container (its name, its
arguments) is bytes of a stranger. See proc(5), proc_pid_stat(5).
"""

import os
from collections.abc import Iterable
from typing import NamedTuple

__all__ = [
    "TICKS_PER_S",
    "HostCpu",
    "ProcessTimes",
    "alive",
    "descendants",
    "read_arguments",
    "read_host_cpu",
    "read_interfaces",
    "read_times",
    "read_uid",
]

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_NS_PER_TICK = 10**9 // TICKS_PER_S

# What Docker adds of /proc/stat: user, nice, system, idle, iowait, irq, softirq.
_COLUMNS = 7
_ARGUMENT_BYTES = 64 << 10


class ProcessTimes(NamedTuple):
    """A line of ``/proc/<pid>/stat``. CPU times are nanoseconds in whole ticks.

    The times "with children" contain those of children that have ended and were waited for.
    """

    pid: int
    parent: int
    name: str
    state: str
    terminal: int
    user_ns: int
    system_ns: int
    user_with_children_ns: int
    system_with_children_ns: int
    threads: int
    start_ticks: int


class HostCpu(NamedTuple):
    """The CPU time of the whole host since its boot, idle time too, and its processors."""

    total_ns: int
    processors: int


def read_times(pid: int) -> ProcessTimes | None:
    """Return what a process has used; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold anything, blanks and parentheses too; nothing behind it can.
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    user, system, childrens_user, childrens_system = (int(fields[n]) for n in (11, 12, 13, 14))
    return ProcessTimes(
        pid=pid,
        parent=int(fields[1]),
        name=name,
        state=fields[0],
        terminal=int(fields[4]),
        user_ns=user * _NS_PER_TICK,
        system_ns=system * _NS_PER_TICK,
        user_with_children_ns=(user + childrens_user) * _NS_PER_TICK,
        system_with_children_ns=(system + childrens_system) * _NS_PER_TICK,
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
    )


def read_uid(pid: int) -> int:
    """Return the effective user of a process, as this user namespace numbers it.

    Raises
    ------
    OSError
        It is gone.
    """
    with open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Uid:"):
                return int(line.split()[2])
    raise ProcessLookupError(pid)


def read_arguments(pid: int) -> list[str]:
    """Return a process's arguments, the first 64 KiB of them; none for a zombie.

    Raises
    ------
    OSError
        It is gone.
    """
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        data = file.read(_ARGUMENT_BYTES)
    return data.decode("utf-8", "replace").rstrip("\0").split("\0") if data.strip(b"\0") else []


def descendants(pid: int) -> list[int]:
    """Return the processes of a container without a cgroup, its first one among them.

    They are what its monitor has forked (the first process, each exec) and what those have.
    """
    first = read_times(pid)
    if first is None:
        return []
    found: list[int] = _children(first.parent)
    for each in found:
        found += _children(each)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        return found  # It is gone, and its children are its reaper's.
    return found


def read_host_cpu() -> HostCpu:
    """Return the CPU time of the host."""
    with open("/proc/stat", encoding="ascii") as file:
        lines = file.read().splitlines()
    ticks = sum(map(int, lines[0].split()[1 : _COLUMNS + 1]))
    processors = sum(line.startswith("cpu") for line in lines) - 1
    return HostCpu(ticks * _NS_PER_TICK, processors)


def read_interfaces(pid: int) -> dict[str, list[int]]:
    """Return the columns of ``/proc/<pid>/net/dev`` by interface, without the loopback one.

    Eight for what was received, bytes, packets, errors and drops first, then eight for what was
    sent. Empty when the process is gone.
    """
    try:
        with open(f"/proc/{pid}/net/dev", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()[2:]
    except OSError:
        return {}
    rows = (line.rpartition(":") for line in lines)
    found = {name.strip(): [int(word) for word in words.split()] for name, _, words in rows}
    found.pop("lo", None)
    return found


def alive(pids: Iterable[int]) -> list[ProcessTimes]:
    """Return what each of some processes has used, without those that are gone."""
    return [times for times in map(read_times, pids) if times is not None]
