"""The part of a client's ``HostConfig`` that says what a container is kept from, as a record.

Everything is checked here that needs no look at the host, in dockerd's words where it has some;
what the host cannot give is `engine.hostlimits`'s to say. Read `isolation`, then `isolation_shape`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dockerlab.engine.isolation import CONTAINER_MODE, DeviceMapping, Isolation, Ulimit
from dockerlab.errors import InvalidArgument
from dockerlab.kernel.constants import RLIMITS
from dockerlab.runtime import defaults

__all__ = ["isolation", "isolation_shape"]

_MOST_ENTRIES = 1024
_LONGEST_TEXT = 4096
_INT64 = 1 << 63

_NAMESPACED_SYSCTLS = frozenset(
    {
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    }
)
_NAMESPACED_PREFIXES = ("net.", "fs.mqueue.")
_SYSCTL_KEY = re.compile(r"[A-Za-z0-9_:-]+(\.[A-Za-z0-9_:-]+)+")

# As in `docker run --help`, and getrlimit(2).
_ULIMITS = frozenset(
    word.removeprefix("RLIMIT_").lower() for word in RLIMITS if word != "RLIMIT_AS"
)
_DEVICE_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")
# What a line of group(5) can hold; LOGIN_NAME_MAX.
_GROUP = re.compile(r"[^\0\n:]{1,256}")
_PERMISSIONS = re.compile(r"[rwm]{1,3}")

# tmpfs(5) and mount(8): those of moby's mount.MergeTmpfsOptions that are for a new file system.
_TMPFS_FLAGS = frozenset(
    {"ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "defaults"}
    | {"sync", "async", "dirsync", "private", "rprivate", "slave", "rslave"}
    | {"atime", "noatime", "diratime", "nodiratime", "relatime", "strictatime"}
)
_TMPFS_VALUES = {
    "size": re.compile(r"[0-9]+[kKmMgG%]?"),
    "mode": re.compile(r"[0-7]{1,4}"),
    "uid": re.compile(r"[0-9]{1,10}"),
    "gid": re.compile(r"[0-9]{1,10}"),
    "nr_inodes": re.compile(r"[0-9]+[kKmMgG]?"),
    "nr_blocks": re.compile(r"[0-9]+[kKmMgG]?"),
    "mpol": re.compile(r"[a-z0-9=:,-]+"),
}
# What the runtime mounts, masks and makes read-only: to cover it would take that away.
_TMPFS_FORBIDDEN = ("/proc", "/sys")


class DeviceBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """Engine API, DeviceMapping."""

    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class UlimitBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """Engine API, Ulimits."""

    name: str = ""
    soft: int = 0
    hard: int = 0


class IsolationBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The part of ``HostConfig`` that is read here."""

    privileged: bool | None = None
    pid_mode: str | None = None
    ipc_mode: str | None = None
    uts_mode: str | None = msgspec.field(default=None, name="UTSMode")
    userns_mode: str | None = None
    cgroupns_mode: str | None = None
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    devices: list[DeviceBody] | None = None
    device_cgroup_rules: list[str] | None = None
    tmpfs: dict[str, str] | None = None
    ulimits: list[UlimitBody] | None = None
    sysctls: dict[str, str] | None = None
    group_add: list[str] | None = None
    init: bool | None = None


def isolation(raw: Mapping[str, Any]) -> Isolation:
    """Read a client's ``HostConfig``; other keys are passed over.

    Raises
    ------
    InvalidArgument
        A value that cannot be right.
    """
    try:
        body = msgspec.convert(raw, IsolationBody)
    except msgspec.ValidationError as exc:
        raise InvalidArgument(f"invalid HostConfig: {exc}") from exc
    for entries in (body.devices, body.device_cgroup_rules, body.tmpfs, body.ulimits, body.sysctls):
        if entries and len(entries) > _MOST_ENTRIES:
            raise InvalidArgument(f"invalid HostConfig: a list of more than {_MOST_ENTRIES} values")
    is_privileged = bool(body.privileged)
    return Isolation(
        privileged=is_privileged,
        pid_mode=_mode("PID", body.pid_mode, "host"),
        ipc_mode=_mode("IPC", body.ipc_mode, "host", "none", "private", "shareable") or "private",
        uts_mode=_mode("UTS", body.uts_mode, "host", may_join=False),
        userns_mode=_mode("user namespace", body.userns_mode, "host", may_join=False),
        cgroupns_mode=_mode("cgroup namespace", body.cgroupns_mode, "host", may_join=False)
        or "private",
        masked_paths=_paths("MaskedPaths", body.masked_paths),
        readonly_paths=_paths("ReadonlyPaths", body.readonly_paths),
        devices=tuple(_device(each) for each in body.devices or ()),
        device_cgroup_rules=tuple(_device_rule(each) for each in body.device_cgroup_rules or ()),
        tmpfs={_tmpfs_path(path): _tmpfs(text) for path, text in (body.tmpfs or {}).items()},
        ulimits=tuple(_ulimit(each) for each in body.ulimits or ()),
        sysctls=_checked_sysctls(body.sysctls or {}),
        group_add=tuple(_group(each) for each in body.group_add or ()),
        has_init=body.init,
    )


def isolation_shape(record: Isolation) -> dict[str, Any]:
    """Return the same part of ``HostConfig`` as the API shows it (Engine API, HostConfig)."""
    shape: dict[str, Any] = {
        "Privileged": record.privileged,
        "PidMode": record.pid_mode,
        "IpcMode": record.ipc_mode,
        "UTSMode": record.uts_mode,
        "UsernsMode": record.userns_mode,
        "CgroupnsMode": record.cgroupns_mode,
        "MaskedPaths": _shown(record, record.masked_paths, defaults.MASKED_PATHS),
        "ReadonlyPaths": _shown(record, record.readonly_paths, defaults.READONLY_PATHS),
        "Devices": [
            {
                "PathOnHost": each.on_host,
                "PathInContainer": each.in_container,
                "CgroupPermissions": each.permissions,
            }
            for each in record.devices
        ],
        "DeviceCgroupRules": list(record.device_cgroup_rules) or None,
        "Ulimits": [
            {"Name": each.name, "Hard": each.hard, "Soft": each.soft} for each in record.ulimits
        ],
        "GroupAdd": list(record.group_add) or None,
    }
    # dockerd leaves these out where nobody asked.
    if record.tmpfs:
        shape["Tmpfs"] = record.tmpfs
    if record.sysctls:
        shape["Sysctls"] = record.sysctls
    if record.has_init is not None:
        shape["Init"] = record.has_init
    return shape


def _shown(
    record: Isolation, own: tuple[str, ...] | None, usual: Sequence[str]
) -> list[str] | None:
    if record.privileged:
        return None
    return list(usual if own is None else own)


def _mode(what: str, mode: str | None, *others: str, may_join: bool = True) -> str:
    mode = mode or ""
    if mode in ("", "private"):
        return "" if "private" not in others else mode
    if mode in others:
        return mode
    if may_join and mode.startswith(CONTAINER_MODE) and len(mode) > len(CONTAINER_MODE):
        return mode
    raise InvalidArgument(f'invalid {what} mode: "{mode[:100]}"')


def _paths(key: str, paths: list[str] | None) -> tuple[str, ...] | None:
    if paths is None:
        return None
    if len(paths) > _MOST_ENTRIES or not all(_is_path(path) for path in paths):
        raise InvalidArgument(f"{key} is a list of at most {_MOST_ENTRIES} absolute paths")
    return tuple(paths)


def _is_path(path: str) -> bool:
    return path.startswith("/") and "\0" not in path and len(path) < _LONGEST_TEXT


def _device(body: DeviceBody) -> DeviceMapping:
    inside = body.path_in_container or body.path_on_host
    permissions = body.cgroup_permissions or "rwm"
    for path in (body.path_on_host, inside):
        if not _is_path(path) or ".." in path.split("/"):
            raise InvalidArgument(f'"{path[:100]}" is not an absolute path of a device')
    if not _PERMISSIONS.fullmatch(permissions):
        raise InvalidArgument(f'invalid device permissions "{permissions[:20]}": letters of rwm')
    return DeviceMapping(on_host=body.path_on_host, in_container=inside, permissions=permissions)


def _device_rule(rule: str) -> str:
    if not _DEVICE_RULE.fullmatch(rule) or len(rule) > len("a 4294967295:4294967295 rwm"):
        raise InvalidArgument(
            f"invalid device cgroup rule format: '{rule[:60]}'", 'as in "c 10:200 rwm"'
        )
    return rule


def _tmpfs_path(path: str) -> str:
    clean = re.sub(r"/+", "/", path.rstrip("/")) or "/"
    if not _is_path(path) or ".." in path.split("/"):
        raise InvalidArgument(
            f"invalid mount config for type \"tmpfs\": invalid mount path: '{path[:100]}' mount"
            " path must be absolute"
        )
    if clean in ("/", "/dev"):
        raise InvalidArgument(f'a tmpfs cannot be mounted on "{clean}"', "name a folder below it")
    if any(clean == each or clean.startswith(f"{each}/") for each in _TMPFS_FORBIDDEN):
        raise InvalidArgument(
            f'a tmpfs cannot be mounted on "{clean}": it would cover files of the kernel',
            "choose a folder outside /proc and /sys",
        )
    return clean


def _tmpfs(text: str) -> str:
    for option in text.split(",") if text else ():
        key, equals, value = option.partition("=")
        pattern = _TMPFS_VALUES.get(key)
        if equals:
            is_good = pattern is not None and bool(pattern.fullmatch(value))
        else:
            is_good = option in _TMPFS_FLAGS
        if not is_good:
            raise InvalidArgument(f'Invalid tmpfs option ["{option[:60]}"]')
    return text


def _ulimit(body: UlimitBody) -> Ulimit:
    if body.name not in _ULIMITS:
        raise InvalidArgument(f"invalid ulimit type: {body.name[:60]}")
    for value in (body.soft, body.hard):
        if not -1 <= value < _INT64:
            raise InvalidArgument(f'invalid value "{value}" for the ulimit "{body.name}"')
    # -1 is no limit, which is more than any number.
    if body.hard != -1 and (body.soft > body.hard or body.soft == -1):
        raise InvalidArgument(
            f"ulimit soft limit must be less than or equal to hard limit: {body.soft} > {body.hard}"
        )
    return Ulimit(name=body.name, soft=body.soft, hard=body.hard)


def _checked_sysctls(sysctls: Mapping[str, str]) -> dict[str, str]:
    for key, value in sysctls.items():
        is_known = key in _NAMESPACED_SYSCTLS or key.startswith(_NAMESPACED_PREFIXES)
        if not (is_known and _SYSCTL_KEY.fullmatch(key) and len(key) < _LONGEST_TEXT):
            raise InvalidArgument(
                f"sysctl '{key[:100]}' is not allowed: it is the whole host's",
                "those of the container's own namespaces are net.*, fs.mqueue.* and kernel.shm*,"
                " kernel.msg*, kernel.sem",
            )
        if not value or "\0" in value or len(value) >= _LONGEST_TEXT:
            raise InvalidArgument(f"invalid value for the sysctl '{key}'")
    return dict(sysctls)


def _group(name: str) -> str:
    if not _GROUP.fullmatch(name):
        raise InvalidArgument(f'invalid group "{name[:60]}" for --group-add')
    return name
