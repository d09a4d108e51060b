"""A client's ``HostConfig`` as a record: what the host gives a new container.

What the engine does not do yet is refused by name: an option that is silently ignored is worse than
one that is missing. Read `host_config`, then the table `_REFUSED`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dockerlab.daemon.shapes.connecting import PortBody, network_mode, parse_bindings
from dockerlab.daemon.shapes.isolation import isolation
from dockerlab.daemon.shapes.limits import LimitsBody, count, limits
from dockerlab.daemon.shapes.nameservice import parse_extra_hosts, parse_servers, parse_words
from dockerlab.daemon.shapes.policies import restart_policy
from dockerlab.daemon.shapes.storage import parse_binds, parse_mounts
from dockerlab.engine.container import HostConfig
from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["console_size", "host_config", "unsupported"]

_SHM_BYTES = 64 << 20

# Key of HostConfig -> (how the docker client calls it, values besides the empty ones that ask for
# nothing). Engine API, HostConfig.
_REFUSED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "DeviceRequests": ("--gpus", ()),
    "Links": ("--link", ()),
    "Cgroup": ("the cgroup of another container", ()),
    "CgroupParent": ("--cgroup-parent", ()),
    "StorageOpt": ("--storage-opt", ()),
    "Annotations": ("--annotation", ()),
    "Isolation": ("--isolation", ("default",)),
    "CpuRealtimePeriod": ("--cpu-rt-period", ()),
    "CpuRealtimeRuntime": ("--cpu-rt-runtime", ()),
    "CpuCount": ("--cpu-count", ()),
    "CpuPercent": ("--cpu-percent", ()),
    "IOMaximumIOps": ("--io-maxiops", ()),
    "IOMaximumBandwidth": ("--io-maxbandwidth", ()),
    "KernelMemory": ("--kernel-memory", ()),
    "KernelMemoryTCP": ("--kernel-memory-tcp", ()),
}


class LogBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """``LogConfig``."""

    type: str | None = None
    config: dict[str, str] | None = None


class HostBody(LimitsBody, kw_only=True, rename="pascal"):
    """The part of `HostConfig` that the engine does."""

    network_mode: str | None = None
    auto_remove: bool | None = None
    readonly_rootfs: bool | None = None
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    security_opt: list[str] | None = None
    shm_size: int | None = None
    oom_score_adj: int | None = None
    log_config: LogBody | None = None
    runtime: str | None = None
    restart_policy: dict[str, Any] | None = None
    console_size: list[int] | None = None
    binds: list[str] | None = None
    mounts: list[dict[str, Any]] | None = None
    volumes_from: list[str] | None = None
    volume_driver: str | None = None
    extra_hosts: list[str] | None = None
    dns: list[str] | None = None
    dns_options: list[str] | None = None
    dns_search: list[str] | None = None
    port_bindings: dict[str, list[PortBody] | None] | None = None
    publish_all_ports: bool | None = None


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
    return HostConfig(
        network_mode="none" if is_networkless else network_mode(host.network_mode or ""),
        auto_remove=bool(host.auto_remove),
        readonly_rootfs=bool(host.readonly_rootfs),
        cap_add=tuple(host.cap_add or ()),
        cap_drop=tuple(host.cap_drop or ()),
        security_opt=tuple(host.security_opt or ()),
        **limits(host),
        shm_size_bytes=count("ShmSize", host.shm_size) or _SHM_BYTES,
        oom_score_adj=_oom_score_adj(host.oom_score_adj or 0),
        **_log_config(host.log_config),
        runtime=host.runtime or "",
        isolation=isolation(raw),
        restart_policy=restart_policy(host.restart_policy, auto_remove=bool(host.auto_remove)),
        console_size=console_size(host.console_size or []),
        **_storage(host),
        **_names(host),
        port_bindings=parse_bindings(host.port_bindings or {}),
        publish_all=bool(host.publish_all_ports),
    )


def _storage(host: HostBody) -> dict[str, Any]:
    binds, mounts = host.binds or [], host.mounts or []
    driver = host.volume_driver or ""
    return {
        "binds": tuple(binds),
        "mounts": tuple(mounts),
        "volumes_from": tuple(host.volumes_from or ()),
        "volume_driver": driver,
        "requested": (*parse_binds(binds, driver), *parse_mounts(mounts)),
    }


def _names(host: HostBody) -> dict[str, Any]:
    return {
        "extra_hosts": parse_extra_hosts(host.extra_hosts or ()),
        "dns": parse_servers(host.dns or ()),
        "dns_options": parse_words("DnsOptions", host.dns_options or ()),
        "dns_search": parse_words("DnsSearch", host.dns_search or ()),
    }


def _refuse_options(raw: Mapping[str, Any]) -> None:
    for key, (flag, harmless) in _REFUSED.items():
        value = raw.get(key)
        if value and value not in harmless:
            raise unsupported(flag)


def _log_config(config: LogBody | None) -> dict[str, Any]:
    # Which drivers and options there are, and the default, is the engine's.
    body = config or LogBody()
    return {"log_driver": body.type or "", "log_options": body.config or {}}


def _oom_score_adj(value: int) -> int:
    if not -1000 <= value <= 1000:  # noqa: PLR2004 - proc_pid_oom_score_adj(5)
        raise InvalidArgument(f"Invalid value {value}, range for oom score adj is [-1000, 1000]")
    return value


def console_size(size: list[int]) -> tuple[int, int]:
    """Return rows and columns of a client's terminal; nothing for what no terminal can have."""
    # 16 bits for each: ioctl_tty(2), TIOCSWINSZ.
    rows, columns = (*size, 0, 0)[:2]
    is_possible = 0 <= rows < 1 << 16 and 0 <= columns < 1 << 16
    return (rows, columns) if is_possible else (0, 0)


def unsupported(flag: str) -> Unsupported:
    """Return the refusal of an option."""
    return Unsupported(f"{flag} is not supported by this version of dockerlab")
