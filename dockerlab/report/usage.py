"""What containers use and run, as tables: `stats` and `top`.

Percentages are those of the docker command line (docker/cli, stats_helpers): CPU is the container's
share of the host's time between two samples, times its processors; memory is without the file pages
that can be dropped.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pandas as pd

from dockerlab.report.tables import Table

__all__ = ["process_table", "usage_table"]

Json = Mapping[str, Any]

_TIME = "datetime64[us, UTC]"
_DURATION = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")
# Columns of ps(1) that are numbers.
_NUMBERS = ("pid", "ppid", "pgid", "sid", "nlwp", "c", "pri", "ni", "uid_number")
_DURATIONS = ("time", "elapsed")
# Words of `ps -ef` that say little, in words.
_NAMES = {"uid": "user", "cmd": "command", "stime": "started", "time": "cpu_time"}


def usage_table(before: Sequence[Json], after: Sequence[Json]) -> Table:
    """Return one row for each container.

    Parameters
    ----------
    before, after : sequence of mapping
        Two samples of each container, in one order: ``GET /containers/{id}/stats?one-shot=1``.
    """
    memory = [_memory_bytes(each) for each in after]
    limits = [each["memory_stats"].get("limit") for each in after]
    shares = [
        used / limit * 100 if used is not None and limit else None
        for used, limit in zip(memory, limits, strict=True)
    ]
    cpu = [_cpu_percent(*pair) for pair in zip(before, after, strict=True)]
    table = Table(
        {
            "container_id": pd.array([_id(each) for each in after], dtype="string"),
            "name": pd.array([each["name"].lstrip("/") for each in after], dtype="string"),
            "cpu_percent": pd.array(cpu, dtype="Float64"),
            "memory_bytes": _integers(memory),
            "limit_bytes": _integers(limits),
            "memory_percent": pd.array(shares, dtype="Float64"),
            "received_bytes": _integers(_network(each, "rx_bytes") for each in after),
            "sent_bytes": _integers(_network(each, "tx_bytes") for each in after),
            "read_bytes": _integers(_disks(each, "read") for each in after),
            "written_bytes": _integers(_disks(each, "write") for each in after),
            "processes": _integers(_processes(each) for each in after),
            "sampled_at": pd.DatetimeIndex([_moment(each["read"]) for each in after], dtype=_TIME),
        }
    )
    table.attrs["rows"] = "containers"
    return table


def process_table(found: Json) -> Table:
    """Return one row for each process: ``GET /containers/{id}/top``.

    Columns are those of ps(1) in small letters; numbers are ``Int64``, CPU times timedeltas.
    """
    # Podman gives whole lines where the ps of the image answers (seen with 4.3.1).
    titles = " ".join(found["Titles"]).lower().split()
    rows = [
        " ".join(row).split(maxsplit=len(titles) - 1) if len(row) < len(titles) else row
        for row in found["Processes"] or []
    ]
    table = Table(
        {
            _NAMES.get(title, title): _column(title, [row[n] for row in rows])
            for n, title in enumerate(titles)
        }
    )
    table.attrs["rows"] = "processes"
    return table


def _column(title: str, values: Sequence[str]) -> Any:
    if title in _NUMBERS and all(re.fullmatch(r"-?\d+", value) for value in values):
        return pd.array([int(value) for value in values], dtype="Int64")
    if title in _DURATIONS and all(_DURATION.fullmatch(value) for value in values):
        return pd.TimedeltaIndex([_duration(value) for value in values])
    return pd.array(list(values), dtype="string")


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    days, hours, minutes, seconds = (
        (int(part or 0) for part in match.groups()) if match else [0] * 4
    )
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _id(sample: Json) -> str:
    # Podman writes it otherwise (seen with 4.3.1).
    return str(sample.get("id") or sample["Id"])


def _integers(values: Iterable[int | None]) -> Any:
    return pd.array(list(values), dtype="Int64")


def _processes(sample: Json) -> int | None:
    return (sample.get("pids_stats") or {}).get("current")


def _moment(text: str) -> Any:
    # Go's zero time is of a container that does not run.
    return pd.NaT if text.startswith("0001-") else pd.Timestamp(text)


def _cpu_percent(before: Json, after: Json) -> float | None:
    first, last = before["cpu_stats"], after["cpu_stats"]
    if "system_cpu_usage" not in first or "system_cpu_usage" not in last:
        return None
    spent = last["cpu_usage"]["total_usage"] - first["cpu_usage"]["total_usage"]
    passed = last["system_cpu_usage"] - first["system_cpu_usage"]
    processors = last.get("online_cpus") or len(last["cpu_usage"].get("percpu_usage") or [0])
    return max(0.0, spent / passed * processors * 100) if passed > 0 else 0.0


def _memory_bytes(sample: Json) -> int | None:
    memory = sample["memory_stats"]
    if "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    dropped = details.get("total_inactive_file", details.get("inactive_file", 0))
    usage = int(memory["usage"])
    return usage - int(dropped) if dropped < usage else usage


def _network(sample: Json, field: str) -> int | None:
    interfaces = sample.get("networks")
    return sum(int(each[field]) for each in interfaces.values()) if interfaces else None


def _disks(sample: Json, operation: str) -> int | None:
    rows = (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    if rows is None:
        return None
    return sum(int(row["value"]) for row in rows if row["op"].lower() == operation)
