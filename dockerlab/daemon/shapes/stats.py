"""What containers use, as ``GET /containers/{id}/stats`` shows it (Engine API, ContainerStats).

Clients make percentages of it: CPU from two samples and the host's time between them, memory less
the file pages that can be dropped, which they find in ``memory_stats.stats`` under the name of
cgroup v1 or of v2.
"""

from collections.abc import Sequence
from typing import Any

from dockerlab.daemon.shapes.moment import rfc3339
from dockerlab.engine.container import NEVER
from dockerlab.engine.usage import DiskRow, MemoryUsage, Sample, Usage

__all__ = ["stats"]

Json = dict[str, Any]

_BLKIO = (
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)

# Columns of /proc/net/dev; proc_pid_net(5).
_INTERFACE = {
    "rx_bytes": 0,
    "rx_packets": 1,
    "rx_errors": 2,
    "rx_dropped": 3,
    "tx_bytes": 8,
    "tx_packets": 9,
    "tx_errors": 10,
    "tx_dropped": 11,
}


def stats(sample: Sample, before: Sample | None) -> Json:
    """Return one sample.

    Parameters
    ----------
    sample : Sample
        Without usage for a container that does not run; then all is empty, as in dockerd.
    before : Sample or None
        The one before it.
    """
    usage = sample.usage
    shape: Json = {
        "read": rfc3339(sample.read_at),
        "preread": rfc3339(before.read_at if before else NEVER),
        "pids_stats": _pids(usage) if usage else {},
        "blkio_stats": _blkio(usage),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(usage),
        "precpu_stats": _cpu(before.usage if before else None),
        "memory_stats": _memory(usage.memory, sample.memory_bytes) if usage else {},
        "name": f"/{sample.container.name}",
        "id": sample.container.id,
    }
    if usage is not None and usage.interfaces:
        shape["networks"] = {
            name: {key: columns[n] for key, n in _INTERFACE.items()}
            for name, columns in usage.interfaces.items()
        }
    return shape


def _pids(usage: Usage) -> Json:
    limit = {"limit": usage.pids.limit} if usage.pids.limit else {}
    return {"current": usage.pids.current, **limit}


def _cpu(usage: Usage | None) -> Json:
    if usage is None:
        times: Json = {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}
        throttling = {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
        return {"cpu_usage": times, "throttling_data": throttling}
    cpu = usage.cpu
    times = {
        "total_usage": cpu.total_ns,
        "usage_in_kernelmode": cpu.system_ns,
        "usage_in_usermode": cpu.user_ns,
    }
    if cpu.per_cpu_ns:
        times["percpu_usage"] = list(cpu.per_cpu_ns)
    return {
        "cpu_usage": times,
        "system_cpu_usage": usage.host.total_ns,
        "online_cpus": usage.host.processors,
        "throttling_data": {
            "periods": cpu.throttling.periods,
            "throttled_periods": cpu.throttling.throttled_periods,
            "throttled_time": cpu.throttling.throttled_ns,
        },
    }


def _memory(memory: MemoryUsage, host_bytes: int) -> Json:
    shape: Json = {"usage": memory.usage_bytes, "stats": memory.stats}
    if memory.max_usage_bytes:
        shape["max_usage"] = memory.max_usage_bytes
    if memory.failures:
        shape["failcnt"] = memory.failures
    return shape | {"limit": min(memory.limit_bytes or host_bytes, host_bytes)}


def _blkio(usage: Usage | None) -> Json:
    # What only the scheduler CFQ counted, which went with Linux 5.0, stays empty.
    shape: Json = dict.fromkeys(_BLKIO, None if usage is None else [])
    if usage is not None:
        shape["io_service_bytes_recursive"] = _rows(usage.disks.bytes)
        shape["io_serviced_recursive"] = _rows(usage.disks.requests)
    return shape


def _rows(rows: Sequence[DiskRow]) -> list[Json]:
    return [
        {"major": row.major, "minor": row.minor, "op": row.operation, "value": row.value}
        for row in rows
    ]
