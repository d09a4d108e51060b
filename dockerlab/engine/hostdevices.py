"""Devices of the host that a container is given: looked up when it starts, as numbers and modes.

Here the host's /dev is read, and nothing else happens; what becomes of it in the spec is
`engine.confinement`'s.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dockerlab.engine.isolation import DeviceMapping, Isolation
from dockerlab.errors import StartFailure

__all__ = ["FoundDevice", "find_devices"]

_DEV = "/dev"
# The container has its own, or they are no devices (moby, devices.HostDevices).
_NOT_GIVEN = frozenset(
    {"pts", "ptmx", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"}
)
_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
_MOST_DEVICES = 4096


class FoundDevice(NamedTuple):
    """A device node of the host at `source`, to be at `path` in the container."""

    path: str
    source: str
    kind: str  # "c" or "b"
    major: int
    minor: int
    mode: int
    uid: int
    gid: int
    permissions: str


def find_devices(isolation: Isolation) -> tuple[FoundDevice, ...]:
    """Return every device that a container is given beside the usual ones.

    Raises
    ------
    StartFailure
        A device that was asked for by its path is not there, or is none.
    """
    found: dict[str, FoundDevice] = {}
    if isolation.privileged:
        everything = DeviceMapping(on_host=_DEV, in_container=_DEV)
        found = {each.path: each for each in _below(everything, _DEV, _DEV)}
    for mapping in isolation.devices:
        for device in _find(mapping):
            found[device.path] = device
    return tuple(found.values())[:_MOST_DEVICES]


def _find(mapping: DeviceMapping) -> list[FoundDevice]:
    # A link on the host is followed: /dev/disk/by-id and its like are made of them.
    source = os.path.realpath(mapping.on_host)
    inside = os.path.normpath(mapping.in_container)
    try:
        status = Path(source).stat()
    except OSError as error:
        raise _not_a_device(mapping, (error.strerror or "").lower()) from error
    if stat.S_ISDIR(status.st_mode):
        devices = list(_below(mapping, source, inside))
    else:
        devices = [each for each in [_device(mapping, source, inside, status)] if each]
    if not devices:
        raise _not_a_device(mapping, "not a device node")
    return devices


def _below(mapping: DeviceMapping, source: str, inside: str) -> Iterator[FoundDevice]:
    try:
        entries = sorted(os.scandir(source), key=lambda entry: entry.name)
    except OSError:
        return  # It went away, or is closed to this user: nothing of it can be given.
    for entry in entries:
        if source == _DEV and entry.name in _NOT_GIVEN:
            continue
        path = f"{inside}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _below(mapping, entry.path, path)
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        device = _device(mapping, entry.path, path, status)
        if device is not None:
            yield device


def _device(
    mapping: DeviceMapping, source: str, inside: str, status: os.stat_result
) -> FoundDevice | None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    return FoundDevice(
        path=inside,
        source=source,
        kind=kind,
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        permissions=mapping.permissions,
    )


def _not_a_device(mapping: DeviceMapping, reason: str) -> StartFailure:
    return StartFailure(
        "error gathering device information while adding custom device"
        f' "{mapping.on_host}": {reason}',
        step="device",
    )
