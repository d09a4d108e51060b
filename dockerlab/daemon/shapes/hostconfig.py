"""A client's ``HostConfig`` as a record: what the host gives a new container.

What the engine does not do yet is refused by name: an option that is silently ignored is worse than
one that is missing. Read `host_config`, then the table `_REFUSED`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dockerlab.engine.container import HostConfig
from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["host_config", "network_mode", "unsupported"]

_INT64 = 1 << 63
_SHM_BYTES = 64 << 20

# Key of HostConfig -> (how the docker client calls it, values besides the empty ones that ask for
# nothing). Engine API, HostConfig.
_REFUSED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "Binds": ("--volume", ()),
    "Mounts": ("--mount", ()),
    "Tmpfs": ("--tmpfs", ()),
    "VolumesFrom": ("--volumes-from", ()),
    "VolumeDriver": ("--volume-driver", ("local",)),
    "PortBindings": ("--publish", ()),
    "PublishAllPorts": ("--publish-all", ()),
    "Devices": ("--device", ()),
    "DeviceRequests": ("--gpus", ()),
    "DeviceCgroupRules": ("--device-cgroup-rule", ()),
    "Privileged": ("--privileged", ()),
    "Links": ("--link", ()),
    "ExtraHosts": ("--add-host", ()),
    "Dns": ("--dns", ()),
    "DnsOptions": ("--dns-option", ()),
    "DnsSearch": ("--dns-search", ()),
    "PidMode": ("--pid", ("private",)),
    "IpcMode": ("--ipc", ("private",)),
    "UTSMode": ("--uts", ("private",)),
    "UsernsMode": ("--userns", ()),
    "CgroupnsMode": ("--cgroupns", ("private",)),
    "Cgroup": ("the cgroup of another container", ()),
    "CgroupParent": ("--cgroup-parent", ()),
    "Ulimits": ("--ulimit", ()),
    "Sysctls": ("--sysctl", ()),
    "Init": ("--init", ()),
    "GroupAdd": ("--group-add", ()),
    "StorageOpt": ("--storage-opt", ()),
    "Annotations": ("--annotation", ()),
    "Isolation": ("--isolation", ("default",)),
    "BlkioWeight": ("--blkio-weight", ()),
    "BlkioWeightDevice": ("--blkio-weight-device", ()),
    "BlkioDeviceReadBps": ("--device-read-bps", ()),
    "BlkioDeviceWriteBps": ("--device-write-bps", ()),
    "BlkioDeviceReadIOps": ("--device-read-iops", ()),
    "BlkioDeviceWriteIOps": ("--device-write-iops", ()),
    "CpuRealtimePeriod": ("--cpu-rt-period", ()),
    "CpuRealtimeRuntime": ("--cpu-rt-runtime", ()),
    "CpuCount": ("--cpu-count", ()),
    "CpuPercent": ("--cpu-percent", ()),
    "IOMaximumIOps": ("--io-maxiops", ()),
    "IOMaximumBandwidth": ("--io-maxbandwidth", ()),
    "KernelMemory": ("--kernel-memory", ()),
    "KernelMemoryTCP": ("--kernel-memory-tcp", ()),
    "OomKillDisable": ("--oom-kill-disable", ()),
}

_NETWORK_MODES = {"": "none", "default": "none", "none": "none", "host": "host"}


class LogBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """``LogConfig``."""

    type: str | None = None
    config: dict[str, str] | None = None


class HostBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The part of `HostConfig` that the engine does."""

    network_mode: str | None = None
    auto_remove: bool | None = None
    readonly_rootfs: bool | None = None
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    security_opt: list[str] | None = None
    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    nano_cpus: int | None = None
    cpu_shares: int | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids_limit: int | None = None
    shm_size: int | None = None
    oom_score_adj: int | None = None
    log_config: LogBody | None = None
    runtime: str | None = None
    restart_policy: dict[str, Any] | None = None
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    memory_swappiness: int | None = None


def host_config(raw: Mapping[str, Any], *, is_networkless: bool) -> HostConfig:
    """Turn a client's ``HostConfig`` into a record.

    Parameters
    ----------
    is_networkless : bool
        The config says ``NetworkDisabled``.

    Raises
    ------
    InvalidArgument
        A value that cannot be right.
    Unsupported
        An option that this engine does not do yet.
    """
    _refuse_options(raw)
    try:
        host = msgspec.convert(raw, HostBody)
    except msgspec.ValidationError as exc:
        raise InvalidArgument(f"invalid HostConfig: {exc}") from exc
    _refuse_policies(host)
    return HostConfig(
        network_mode="none" if is_networkless else network_mode(host.network_mode or ""),
        auto_remove=bool(host.auto_remove),
        readonly_rootfs=bool(host.readonly_rootfs),
        cap_add=tuple(host.cap_add or ()),
        cap_drop=tuple(host.cap_drop or ()),
        security_opt=tuple(host.security_opt or ()),
        memory_bytes=_count("Memory", host.memory),
        memory_swap_bytes=_count("MemorySwap", host.memory_swap, least=-1),
        memory_reservation_bytes=_count("MemoryReservation", host.memory_reservation),
        nano_cpus=_count("NanoCpus", host.nano_cpus),
        cpu_shares=_count("CpuShares", host.cpu_shares),
        cpu_period_us=_count("CpuPeriod", host.cpu_period),
        cpu_quota_us=_count("CpuQuota", host.cpu_quota, least=-1),
        cpuset_cpus=host.cpuset_cpus or "",
        cpuset_mems=host.cpuset_mems or "",
        pids_limit=_count("PidsLimit", host.pids_limit, least=-1),
        shm_size_bytes=_count("ShmSize", host.shm_size) or _SHM_BYTES,
        oom_score_adj=_oom_score_adj(host.oom_score_adj or 0),
        **_log_config(host.log_config),
        runtime=host.runtime or "",
    )


def _refuse_options(raw: Mapping[str, Any]) -> None:
    for key, (flag, harmless) in _REFUSED.items():
        value = raw.get(key)
        if value and value not in harmless:
            raise unsupported(flag)


def _refuse_policies(host: HostBody) -> None:
    if (host.restart_policy or {}).get("Name") not in (None, "", "no"):
        raise unsupported("--restart")
    # 0 asks for something; the docker client sends -1 when nobody asked.
    if host.memory_swappiness not in (None, -1):
        raise unsupported("--memory-swappiness")
    # null is the default set of paths; an empty list is what "systempaths=unconfined" sends.
    if host.masked_paths is not None or host.readonly_paths is not None:
        raise unsupported("--security-opt systempaths=unconfined")


def network_mode(mode: str) -> str:
    """Return the network that a mode or a name means, or raise Unsupported."""
    if mode not in _NETWORK_MODES:
        raise Unsupported(
            f'the network "{mode}" is not supported yet',
            hint='there are "none" (the default) and "host"',
        )
    return _NETWORK_MODES[mode]


def _log_config(config: LogBody | None) -> dict[str, Any]:
    # Which drivers and options there are, and the default, is the engine's.
    body = config or LogBody()
    return {"log_driver": body.type or "", "log_options": body.config or {}}


def _oom_score_adj(value: int) -> int:
    if not -1000 <= value <= 1000:  # noqa: PLR2004 - proc_pid_oom_score_adj(5)
        raise InvalidArgument(f"Invalid value {value}, range for oom score adj is [-1000, 1000]")
    return value


def _count(key: str, value: int | None, *, least: int = 0) -> int:
    if value is None:
        return 0
    if not least <= value < _INT64:
        raise InvalidArgument(f'invalid value "{value}" for "{key}"')
    return value


def unsupported(flag: str) -> Unsupported:
    """Return the refusal of an option."""
    return Unsupported(f"{flag} is not supported by this version of dockerlab")
