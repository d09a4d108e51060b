"""What a run can be told, in words, and the request that comes of it.

`RunOptions` has the names of the docker command line's flags with ``_`` for ``-``; the magics'
lines and the Python API both end here, so that a flag means the same in both. It decides and does
nothing.
The fields are ContainerConfig's and HostConfig's of Engine API 1.44.
"""

import difflib
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, cast, get_args

from dockerlab.client.grammar import (
    pairs,
    port_bindings,
    port_names,
    read_device,
    read_number,
    restart_policy,
    security_options,
    texts,
    to_nanoseconds,
    ulimit,
)
from dockerlab.client.mountgrammar import binds, read_mount, tmpfs, volume_places
from dockerlab.client.request import PullPolicy, RunRequest
from dockerlab.errors import InvalidArgument
from dockerlab.units import parse_cpus, parse_size

__all__ = ["RunOptions", "UpdateOptions", "command_words", "make_request", "update_body"]

Texts = str | Sequence[str]


class UpdateOptions(TypedDict, total=False):
    """What of a container can be changed: its limits, and its restart policy.

    Sizes are bytes or a text such as ``64m``, `cpus` a number of processors; -1 lifts a limit of
    processes or of swap.
    """

    memory: str | int
    memory_swap: str | int
    memory_reservation: str | int
    cpus: str | float
    cpu_shares: int | str
    cpu_period: int | str
    cpu_quota: int | str
    cpuset_cpus: str
    cpuset_mems: str
    pids_limit: int | str
    blkio_weight: int | str
    restart: str


class RunOptions(UpdateOptions, total=False):
    """How a container is run; what is left out is the image's or the engine's choice.

    The names are those of the flags with ``_`` for ``-``, and the values their texts. ``env``,
    ``sysctl``, ``log_opt`` and ``labels`` may be mappings or ``NAME=VALUE`` texts, lists may be one
    text; ``input`` is the program's standard input; ``pull`` is ``missing``, ``always`` or
    ``never``.
    """

    name: str
    hostname: str
    domainname: str
    labels: Mapping[str, str] | Texts
    env: Mapping[str, str] | Texts
    workdir: str
    user: str
    entrypoint: str
    stop_signal: str
    stop_timeout: int | str
    rm: bool
    detach: bool
    interactive: bool
    input: str | bytes | None
    pull: str
    platform: str
    network: str
    publish: Texts
    add_host: Texts
    dns: Texts
    volume: Texts
    mount: Texts
    tmpfs: Texts
    volumes_from: Texts
    read_only: bool
    init: bool
    privileged: bool
    cap_add: Texts
    cap_drop: Texts
    security_opt: Texts
    group_add: Texts
    device: Texts
    device_cgroup_rule: Texts
    ulimit: Texts
    sysctl: Mapping[str, str] | Texts
    pid: str
    ipc: str
    uts: str
    userns: str
    cgroupns: str
    runtime: str
    shm_size: str | int
    memory_swappiness: int | str
    oom_kill_disable: bool
    oom_score_adj: int | str
    log_driver: str
    log_opt: Mapping[str, str] | Texts
    health_cmd: str
    health_interval: str | float
    health_timeout: str | float
    health_start_period: str | float
    health_retries: int | str
    no_healthcheck: bool


def command_words(command: str | Sequence[str]) -> tuple[str, ...]:
    """Return a command as its words; a text is split as a shell does, and no shell is run.

    Raises
    ------
    InvalidArgument
        A quote is open.

    Examples
    --------
    >>> command_words("echo 'hello world'")
    ('echo', 'hello world')
    """
    if not isinstance(command, str):
        return tuple(command)
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise InvalidArgument(f"cannot read the command: {str(error).lower()}") from None


def make_request(image: str, command: Sequence[str], options: RunOptions) -> RunRequest:
    """Return the request for a run.

    Parameters
    ----------
    image : str
        Reference or id.
    command : sequence of str
        In place of the image's; () keeps that.
    options : RunOptions
        The rest.

    Raises
    ------
    InvalidArgument
        A value cannot be right, or options contradict each other.
    """
    _refuse_unknown("a run", options, RunOptions)
    policy = options.get("pull") or "missing"
    if policy not in get_args(PullPolicy):
        raise InvalidArgument(f'invalid value "{policy}" for pull: missing, always or never')
    given, is_detached = options.get("input"), options.get("detach", False)
    if is_detached and given is not None:
        raise InvalidArgument(
            "a detached container reads no input", "leave out one of detach and input"
        )
    return RunRequest(
        image=image,
        command=tuple(command),
        name=options.get("name", ""),
        platform=options.get("platform", ""),
        config=_config(options),
        host_config=_host_config(options),
        stdin=given.encode() if isinstance(given, str) else given,
        is_detached=is_detached,
        keep_stdin_open=is_detached and options.get("interactive", False),
        pull=cast("PullPolicy", policy),
    )


def update_body(options: UpdateOptions) -> dict[str, Any]:
    """Return the body of ``POST /containers/{id}/update``.

    Raises
    ------
    InvalidArgument
        A value cannot be right, or there is none.
    """
    _refuse_unknown("an update", options, UpdateOptions)
    body = _fields(_UPDATED, options)
    if not body:
        raise InvalidArgument("there is nothing to change", "give a limit, or a restart policy")
    return body


def _refuse_unknown(
    what: str, options: Mapping[str, Any], kind: type[UpdateOptions] | type[RunOptions]
) -> None:
    known = kind.__annotations__
    unknown = sorted(set(options) - set(known))
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known options: {', '.join(sorted(known))}"
        raise InvalidArgument(f'no such option of {what}: "{unknown[0]}"', hint)


def _size(value: str | int) -> int:
    # -1 is no limit, of memory with swap.
    return -1 if str(value) == "-1" else parse_size(str(value))


def _number(flag: str) -> Callable[[Any], int]:
    return lambda value: read_number(flag, value)


def _cpus(value: str | float) -> int:
    return parse_cpus(str(value))


def _devices(value: Texts) -> list[dict[str, Any]]:
    return [read_device(text) for text in texts(value)]


def _environment(variables: Mapping[str, str] | Texts) -> list[str]:
    if isinstance(variables, Mapping):
        return [f"{name}={value}" for name, value in variables.items()]
    return texts(variables)


# Option -> field, and how its value is read.
_Table = Mapping[str, tuple[str, Callable[[Any], Any]]]
_UPDATED: _Table = {
    "memory": ("Memory", _size),
    "memory_swap": ("MemorySwap", _size),
    "memory_reservation": ("MemoryReservation", _size),
    "cpus": ("NanoCpus", _cpus),
    "cpu_shares": ("CpuShares", _number("cpu-shares")),
    "cpu_period": ("CpuPeriod", _number("cpu-period")),
    "cpu_quota": ("CpuQuota", _number("cpu-quota")),
    "cpuset_cpus": ("CpusetCpus", str),
    "cpuset_mems": ("CpusetMems", str),
    "pids_limit": ("PidsLimit", _number("pids-limit")),
    "blkio_weight": ("BlkioWeight", _number("blkio-weight")),
    "restart": ("RestartPolicy", restart_policy),
}
_HOST: _Table = {
    **_UPDATED,
    "rm": ("AutoRemove", bool),
    "network": ("NetworkMode", str),
    "publish": ("PortBindings", lambda value: port_bindings(texts(value))),
    "add_host": ("ExtraHosts", texts),
    "dns": ("Dns", texts),
    "volume": ("Binds", lambda value: binds(texts(value))),
    "mount": ("Mounts", lambda value: [read_mount(text) for text in texts(value)]),
    "tmpfs": ("Tmpfs", lambda value: tmpfs(texts(value))),
    "volumes_from": ("VolumesFrom", texts),
    "read_only": ("ReadonlyRootfs", bool),
    "init": ("Init", bool),
    "privileged": ("Privileged", bool),
    "cap_add": ("CapAdd", texts),
    "cap_drop": ("CapDrop", texts),
    "group_add": ("GroupAdd", texts),
    "device": ("Devices", _devices),
    "device_cgroup_rule": ("DeviceCgroupRules", texts),
    "ulimit": ("Ulimits", lambda value: [ulimit(text) for text in texts(value)]),
    "sysctl": ("Sysctls", pairs),
    "pid": ("PidMode", str),
    "ipc": ("IpcMode", str),
    "uts": ("UTSMode", str),
    "userns": ("UsernsMode", str),
    "cgroupns": ("CgroupnsMode", str),
    "runtime": ("Runtime", str),
    "shm_size": ("ShmSize", _size),
    "memory_swappiness": ("MemorySwappiness", _number("memory-swappiness")),
    "oom_kill_disable": ("OomKillDisable", bool),
    "oom_score_adj": ("OomScoreAdj", _number("oom-score-adj")),
}
_CONFIG: _Table = {
    "hostname": ("Hostname", str),
    "domainname": ("Domainname", str),
    "user": ("User", str),
    "workdir": ("WorkingDir", str),
    "env": ("Env", _environment),
    "labels": ("Labels", pairs),
    "entrypoint": ("Entrypoint", lambda value: [value]),
    "stop_signal": ("StopSignal", str),
    "stop_timeout": ("StopTimeout", _number("stop-timeout")),
    "volume": ("Volumes", lambda value: volume_places(texts(value))),
    "publish": ("ExposedPorts", lambda value: port_names(texts(value))),
}
_HEALTH: _Table = {
    "health_interval": ("Interval", to_nanoseconds),
    "health_timeout": ("Timeout", to_nanoseconds),
    "health_start_period": ("StartPeriod", to_nanoseconds),
    "health_retries": ("Retries", _number("health-retries")),
}
_ZERO_SAYS = ("memory_swappiness", "stop_timeout")


def _fields(table: _Table, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of what was said; a zero says nothing but for some."""
    found = {}
    for option, (field, read) in table.items():
        value = options.get(option)
        if value is None or value is False or value in ("", (), [], {}):
            continue
        read_value = read(value)
        if read_value or option in _ZERO_SAYS:
            found[field] = read_value
    return found


def _config(options: RunOptions) -> dict[str, Any]:
    fields = _fields(_CONFIG, options)
    if check := _health(options):
        fields["Healthcheck"] = check
    return fields


def _host_config(options: RunOptions) -> dict[str, Any]:
    fields = _fields(_HOST, options) | security_options(options.get("security_opt"))
    driver, log_options = options.get("log_driver"), pairs(options.get("log_opt"))
    if driver or log_options:
        fields["LogConfig"] = {"Type": driver or "", "Config": log_options}
    return fields


def _health(options: RunOptions) -> dict[str, Any]:
    command = options.get("health_cmd")
    timing = _fields(_HEALTH, options)
    if options.get("no_healthcheck"):
        if command or timing:
            raise InvalidArgument("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    return {**({"Test": ["CMD-SHELL", command]} if command else {}), **timing}
