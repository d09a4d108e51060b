"""A client's JSON for a new container or exec, as records.

What the engine does not do yet is refused by name: an option that is silently ignored is worse than
one that is missing. Read `creation`, then the table `_REFUSED`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dockerlab.daemon.shapes.binds import read_binds
from dockerlab.engine.container import Bind, ContainerConfig, HostConfig
from dockerlab.engine.exec import ExecConfig
from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["CreateBody", "ExecBody", "ExecStartBody", "creation", "exec_config"]

_INT64 = 1 << 63
_SHM_BYTES = 64 << 20

# Key of HostConfig -> (how the docker client calls it, values besides the empty ones that ask for
# nothing). Engine API, HostConfig.
_REFUSED: dict[str, tuple[str, tuple[Any, ...]]] = {
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
    "Runtime": ("--runtime", ("dockerlab",)),
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

_NETWORK_MODES = {"": "default", "default": "default", "none": "none", "host": "host"}
_LOG_DRIVERS = {"": "json-file", "json-file": "json-file", "none": "none"}


class CreateBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The part of the body of ``POST /containers/create`` that is looked at."""

    image: str = ""
    hostname: str | None = None
    domainname: str | None = None
    user: str | None = None
    env: list[str] | None = None
    cmd: list[str] | str | None = None
    entrypoint: list[str] | str | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    exposed_ports: dict[str, Any] | None = None
    volumes: dict[str, Any] | None = None
    tty: bool | None = None
    open_stdin: bool | None = None
    stdin_once: bool | None = None
    attach_stdin: bool | None = None
    attach_stdout: bool | None = None
    attach_stderr: bool | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    network_disabled: bool | None = None
    mac_address: str | None = None
    healthcheck: dict[str, Any] | None = None
    host_config: dict[str, Any] | None = None
    networking_config: dict[str, Any] | None = None


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
    log_config: dict[str, Any] | None = None
    restart_policy: dict[str, Any] | None = None
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    memory_swappiness: int | None = None


class ExecBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The body of ``POST /containers/{id}/exec``."""

    cmd: list[str] | str | None = None
    env: list[str] | None = None
    user: str | None = None
    working_dir: str | None = None
    tty: bool | None = None
    attach_stdin: bool | None = None
    attach_stdout: bool | None = None
    attach_stderr: bool | None = None
    privileged: bool | None = None
    detach_keys: str | None = None


class ExecStartBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The body of ``POST /exec/{id}/start``."""

    detach: bool | None = None
    tty: bool | None = None


def creation(body: CreateBody) -> tuple[ContainerConfig, HostConfig]:
    """Turn the body of a create request into records.

    Raises
    ------
    InvalidArgument
        No image, or a value that cannot be right.
    Unsupported
        An option that this engine does not do yet.
    """
    _refuse_config(body)
    raw_host = body.host_config or {}
    _refuse_host(raw_host)
    try:
        host = msgspec.convert(raw_host, HostBody)
    except msgspec.ValidationError as exc:
        raise InvalidArgument(f"invalid HostConfig: {exc}") from exc
    binds = read_binds(raw_host)
    # Clients name the targets of binds here, too; what is no bind would be an anonymous volume.
    if set(body.volumes or ()) - {bind.target for bind in binds}:
        raise _unsupported("--volume")
    is_networkless = bool(body.network_disabled)
    return _container_config(body), _host_config(host, binds, is_networkless=is_networkless)


def exec_config(body: ExecBody) -> ExecConfig:
    """Turn the body of an exec request into a record.

    Raises
    ------
    InvalidArgument
        No command.
    Unsupported
        ``--privileged``.
    """
    argv = _words(body.cmd)
    if not argv:
        raise InvalidArgument("No exec command specified")
    if body.privileged:
        raise _unsupported("--privileged")
    return ExecConfig(
        argv=argv,
        env=tuple(body.env or ()),
        user=body.user or "",
        working_dir=body.working_dir or "",
        tty=bool(body.tty),
        attach_stdin=bool(body.attach_stdin),
        attach_stdout=bool(body.attach_stdout),
        attach_stderr=bool(body.attach_stderr),
    )


def _container_config(body: CreateBody) -> ContainerConfig:
    if not body.image:
        raise InvalidArgument("no image specified")
    if body.stop_timeout is not None and not -1 <= body.stop_timeout < 1 << 31:
        raise InvalidArgument(f'invalid StopTimeout "{body.stop_timeout}"')
    for text in (*(body.env or ()), *_words(body.cmd), *_words(body.entrypoint)):
        if "\0" in text:
            raise InvalidArgument("an argument or a variable holds a NUL character")
    return ContainerConfig(
        image=body.image,
        hostname=body.hostname or "",
        domainname=body.domainname or "",
        user=body.user or "",
        env=tuple(body.env or ()),
        # An empty list is no command of the client's own, as null is (moby, merge of configs);
        # an entrypoint of one empty word takes the image's away, and that the engine must see.
        cmd=_words(body.cmd) or None,
        entrypoint=_words(body.entrypoint) or None,
        working_dir=body.working_dir or "",
        labels=body.labels or {},
        exposed_ports=tuple(sorted(body.exposed_ports or ())),
        tty=bool(body.tty),
        open_stdin=bool(body.open_stdin),
        stdin_once=bool(body.stdin_once),
        attach_stdin=bool(body.attach_stdin),
        attach_stdout=bool(body.attach_stdout),
        attach_stderr=bool(body.attach_stderr),
        stop_signal=body.stop_signal or "",
        stop_timeout_s=body.stop_timeout,
    )


def _host_config(host: HostBody, binds: tuple[Bind, ...], *, is_networkless: bool) -> HostConfig:
    _refuse_policies(host)
    return HostConfig(
        network_mode="none" if is_networkless else _network_mode(host.network_mode or ""),
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
        log_driver=_log_driver(host.log_config or {}),
        binds=binds,
    )


def _refuse_config(body: CreateBody) -> None:
    if body.mac_address:
        raise _unsupported("--mac-address")
    test = (body.healthcheck or {}).get("Test")
    if test and test != ["NONE"]:
        raise _unsupported("--health-cmd")
    endpoints = (body.networking_config or {}).get("EndpointsConfig")
    for name, settings in endpoints.items() if isinstance(endpoints, dict) else ():
        _network_mode(name)
        if isinstance(settings, dict) and any(settings.values()):
            raise _unsupported("--ip, --network-alias and other settings of an endpoint")


def _refuse_host(raw: Mapping[str, Any]) -> None:
    for key, (flag, harmless) in _REFUSED.items():
        value = raw.get(key)
        if value and value not in harmless:
            raise _unsupported(flag)


def _refuse_policies(host: HostBody) -> None:
    if (host.restart_policy or {}).get("Name") not in (None, "", "no"):
        raise _unsupported("--restart")
    # 0 asks for something; the docker client sends -1 when nobody asked.
    if host.memory_swappiness not in (None, -1):
        raise _unsupported("--memory-swappiness")
    # null is the default set of paths; an empty list is what "systempaths=unconfined" sends.
    if host.masked_paths is not None or host.readonly_paths is not None:
        raise _unsupported("--security-opt systempaths=unconfined")


def _network_mode(mode: str) -> str:
    if mode not in _NETWORK_MODES:
        raise Unsupported(
            f'the network "{mode}" is not supported yet',
            hint='there are "none" and "host"',
        )
    return _NETWORK_MODES[mode]


def _log_driver(config: Mapping[str, Any]) -> str:
    driver = config.get("Type") or ""
    if driver not in _LOG_DRIVERS:
        raise _unsupported(f"--log-driver {driver}")
    if config.get("Config"):
        raise _unsupported("--log-opt")
    return _LOG_DRIVERS[driver]


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


def _words(value: list[str] | str | None) -> tuple[str, ...]:
    # Engine API, ContainerConfig, Cmd: "a string or an array of strings".
    if isinstance(value, str):
        return (value,)
    return tuple(value or ())


def _unsupported(flag: str) -> Unsupported:
    return Unsupported(f"{flag} is not supported by this version of dockerlab")
