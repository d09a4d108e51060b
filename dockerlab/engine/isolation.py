"""The record of what a container shares with the host, and of what it is kept from.

A part of `engine.container.HostConfig`. What of it becomes the spec is `engine.confinement`'s.
"""

import msgspec

__all__ = ["CONTAINER_MODE", "DeviceMapping", "Isolation", "Ulimit", "donor_of"]

# What a mode begins with that names the container whose namespace is joined.
CONTAINER_MODE = "container:"


class DeviceMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A device of the host, or a folder of devices; `permissions` of the letters ``rwm``."""

    on_host: str
    in_container: str
    permissions: str = "rwm"


class Ulimit(msgspec.Struct, frozen=True, kw_only=True):
    """One resource limit, `name` as in ``nofile``; -1 is no limit."""

    name: str
    soft: int
    hard: int


class Isolation(msgspec.Struct, frozen=True, kw_only=True):
    """What ``docker run`` says of namespaces, privileges, devices and kernel parameters.

    Modes are Docker's: ``host``, ``container:ID``, and for `ipc_mode` also ``none``, ``private``,
    ``shareable``; '' and ``private`` are a namespace of its own. `masked_paths` and
    `readonly_paths` are None for the engine's own lists.
    """

    privileged: bool = False
    pid_mode: str = ""
    ipc_mode: str = "private"
    uts_mode: str = ""
    userns_mode: str = ""
    cgroupns_mode: str = "private"
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    devices: tuple[DeviceMapping, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    tmpfs: dict[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: dict[str, str] = {}
    group_add: tuple[str, ...] = ()
    has_init: bool | None = None


def donor_of(mode: str) -> str:
    """Return the container that a mode names, '' when it names none.

    Examples
    --------
    >>> donor_of("container:web"), donor_of("host")
    ('web', '')
    """
    return mode.removeprefix(CONTAINER_MODE) if mode.startswith(CONTAINER_MODE) else ""
