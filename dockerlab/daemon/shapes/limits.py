"""The limits in a client's ``HostConfig`` and in the body of an update, as records and back.

Engine API, "Resources". What dockerd refuses, and what this host cannot keep, is `engine.limits`'.
"""

from typing import Any

import msgspec

from dockerlab.engine.changes import Changes
from dockerlab.engine.container import DeviceLimit, HostConfig
from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["LimitsBody", "UpdateBody", "changes", "count", "limits", "limits_shape"]

_INT64 = 1 << 63
_UINT64 = 1 << 64
_DEVICE_KEYS = (
    "blkio_weight_device",
    "blkio_device_read_bps",
    "blkio_device_write_bps",
    "blkio_device_read_iops",
    "blkio_device_write_iops",
)


class WeightBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """An element of ``BlkioWeightDevice``."""

    path: str = ""
    weight: int = 0


class RateBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """An element of ``BlkioDeviceReadBps`` and its like."""

    path: str = ""
    rate: int = 0


class LimitsBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The limits of a container."""

    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    nano_cpus: int | None = None
    cpu_shares: int | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids_limit: int | None = None
    blkio_weight: int | None = None
    blkio_weight_device: list[WeightBody] | None = None
    blkio_device_read_bps: list[RateBody] | None = None
    blkio_device_write_bps: list[RateBody] | None = None
    blkio_device_read_iops: list[RateBody] | None = msgspec.field(
        default=None, name="BlkioDeviceReadIOps"
    )
    blkio_device_write_iops: list[RateBody] | None = msgspec.field(
        default=None, name="BlkioDeviceWriteIOps"
    )


class PolicyBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """``RestartPolicy``."""

    name: str | None = None
    maximum_retry_count: int | None = None


class UpdateBody(LimitsBody, kw_only=True, rename="pascal"):
    """The body of ``POST /containers/{id}/update``."""

    restart_policy: PolicyBody | None = None


def limits(body: LimitsBody) -> dict[str, Any]:
    """Return the fields of `HostConfig` that are limits.

    Raises
    ------
    InvalidArgument
        A value that cannot be right.
    """
    # The docker client sends a swappiness of -1 when nobody asked; 0 asks for something.
    swappiness = None if body.memory_swappiness == -1 else body.memory_swappiness
    return {
        "memory_bytes": count("Memory", body.memory),
        "memory_swap_bytes": count("MemorySwap", body.memory_swap, least=-1),
        "memory_reservation_bytes": count("MemoryReservation", body.memory_reservation),
        "memory_swappiness": swappiness,
        "oom_kill_disable": bool(body.oom_kill_disable),
        "nano_cpus": count("NanoCpus", body.nano_cpus),
        "cpu_shares": count("CpuShares", body.cpu_shares),
        "cpu_period_us": count("CpuPeriod", body.cpu_period),
        "cpu_quota_us": count("CpuQuota", body.cpu_quota, least=-1),
        "cpuset_cpus": body.cpuset_cpus or "",
        "cpuset_mems": body.cpuset_mems or "",
        "pids_limit": count("PidsLimit", body.pids_limit, least=-1),
        "blkio_weight": count("BlkioWeight", body.blkio_weight),
        "blkio_weight_device": _weights(body.blkio_weight_device),
        "blkio_device_read_bps": _rates(body.blkio_device_read_bps),
        "blkio_device_write_bps": _rates(body.blkio_device_write_bps),
        "blkio_device_read_iops": _rates(body.blkio_device_read_iops),
        "blkio_device_write_iops": _rates(body.blkio_device_write_iops),
    }


def changes(body: UpdateBody) -> Changes:
    """Turn the body of an update into what is to change; 0 and '' leave a limit as it is.

    Raises
    ------
    InvalidArgument
        A value that cannot be right.
    Unsupported
        A limit that no engine changes while a container runs.
    """
    wanted = {key: value for key, value in limits(body).items() if value not in (0, "", (), None)}
    if body.memory_swappiness not in (None, -1):
        wanted["memory_swappiness"] = body.memory_swappiness
    for key in ("oom_kill_disable", "memory_swappiness", *_DEVICE_KEYS):
        if key in wanted:
            raise Unsupported(
                f'"{key.replace("_", "-")}" cannot be changed after the creation of a container',
                "remove the container and create it again with another value",
            )
    if body.pids_limit is not None:
        wanted["pids_limit"] = max(body.pids_limit, -1) or -1
    policy = body.restart_policy or PolicyBody()
    return Changes(
        limits=wanted,
        restart_name=policy.name or "",
        restart_count=count("MaximumRetryCount", policy.maximum_retry_count),
    )


def limits_shape(host: HostConfig) -> dict[str, Any]:
    """Return the limits as ``inspect`` shows them."""
    return {
        "CpuShares": host.cpu_shares,
        "Memory": host.memory_bytes,
        "NanoCpus": host.nano_cpus,
        "BlkioWeight": host.blkio_weight,
        "BlkioWeightDevice": _shapes(host.blkio_weight_device, "Weight"),
        "BlkioDeviceReadBps": _shapes(host.blkio_device_read_bps, "Rate"),
        "BlkioDeviceWriteBps": _shapes(host.blkio_device_write_bps, "Rate"),
        "BlkioDeviceReadIOps": _shapes(host.blkio_device_read_iops, "Rate"),
        "BlkioDeviceWriteIOps": _shapes(host.blkio_device_write_iops, "Rate"),
        "CpuPeriod": host.cpu_period_us,
        "CpuQuota": host.cpu_quota_us,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": host.cpuset_cpus,
        "CpusetMems": host.cpuset_mems,
        "MemoryReservation": host.memory_reservation_bytes,
        "MemorySwap": host.memory_swap_bytes,
        "MemorySwappiness": host.memory_swappiness,
        "OomKillDisable": host.oom_kill_disable,
        "PidsLimit": host.pids_limit or None,
    }


def count(key: str, value: int | None, *, least: int = 0) -> int:
    """Return a number of a client's, 0 for none; raise InvalidArgument below `least`."""
    if value is None:
        return 0
    if not least <= value < _INT64:
        raise InvalidArgument(f'invalid value "{value}" for "{key}"')
    return value


def _weights(bodies: list[WeightBody] | None) -> tuple[DeviceLimit, ...]:
    return tuple(DeviceLimit(body.path, count("Weight", body.weight)) for body in bodies or ())


def _rates(bodies: list[RateBody] | None) -> tuple[DeviceLimit, ...]:
    for body in bodies or ():
        if not 0 < body.rate < _UINT64:
            raise InvalidArgument(f'invalid rate "{body.rate}" for the device "{body.path[:60]}"')
    return tuple(DeviceLimit(body.path, body.rate) for body in bodies or ())


def _shapes(limits: tuple[DeviceLimit, ...], key: str) -> list[dict[str, Any]]:
    return [{"Path": limit.path, key: limit.value} for limit in limits]
