"""What a container is kept from, in the words of the runtime spec; pure functions.

The options of `engine.isolation` over the defaults of `runtime.defaults`. What this host cannot
give has been refused before, by `engine.hostlimits`.
"""

from collections.abc import Iterable, Mapping, Sequence

from dockerlab.engine.container import Container
from dockerlab.engine.hostdevices import FoundDevice
from dockerlab.engine.isolation import Isolation, donor_of
from dockerlab.engine.sharing import Donor
from dockerlab.oci.runtimespec import (
    Device,
    DeviceRule,
    Linux,
    Mount,
    Namespace,
    Rlimit,
    Seccomp,
)
from dockerlab.runtime import defaults, profile
from dockerlab.runtime.usernamespace import Mapping as IdMapping

__all__ = [
    "capabilities_of",
    "device_rules_of",
    "devices_of",
    "masks_of",
    "mounts_of",
    "namespaces_of",
    "rlimits_of",
    "seccomp_of",
    "sysctls_of",
    "tmpfs_of",
]

_HOST = "host"
_TTY_GROUP = 5
_TMPFS_OPTIONS = ["noexec", "nosuid", "nodev"]
_SHM, _MQUEUE = "/dev/shm", "/dev/mqueue"  # noqa: S108 - places in the container


def capabilities_of(container: Container, *, is_rootless: bool) -> list[str]:
    """Return the bounding set of a container.

    Raises
    ------
    InvalidArgument
        An unknown capability, or one that this process has not itself.
    """
    host = container.host
    if host.isolation.privileged:
        return defaults.effective_capabilities(("ALL",), is_rootless=is_rootless)
    return defaults.effective_capabilities(host.cap_add, host.cap_drop, is_rootless=is_rootless)


def namespaces_of(container: Container, donors: Mapping[str, Donor]) -> list[Namespace]:
    """Return the namespaces of a container: new ones, and those of others by a path.

    The path is for foreign runtimes; ours joins by the donor's descriptor.
    """
    isolation = container.host.isolation
    modes = {
        "uts": isolation.uts_mode,
        "pid": isolation.pid_mode,
        "ipc": isolation.ipc_mode,
        "network": container.host.network_mode,
        "cgroup": isolation.cgroupns_mode,
    }
    namespaces: list[Namespace] = [{"type": "mount"}]
    for kind, mode in modes.items():
        donor = donors.get(kind)
        if donor is not None and not donor.is_host:
            path = f"/proc/{donor.pid}/ns/{'net' if kind == 'network' else kind}"
            namespaces.append({"type": kind, "path": path})
        elif mode != _HOST and donor is None:
            namespaces.append({"type": kind})
    return namespaces


def mounts_of(
    container: Container, donors: Mapping[str, Donor], mapping: IdMapping | None
) -> list[Mount]:
    """Return the mounts of the kernel's file systems, in order."""
    isolation = container.host.isolation
    own = {namespace["type"] for namespace in namespaces_of(container, donors)}
    mounts = defaults.default_mounts(
        container.host.shm_size_bytes,
        has_tty_group=mapping is None or mapping.has_gid(_TTY_GROUP),
        has_own_sysfs=mapping is None or "network" in own,
    )
    by_place = {mount["destination"]: mount for mount in mounts}
    if mapping is not None and "pid" not in own:
        # Only who owns the pid namespace may mount its files.
        by_place["/proc"] = _bind("/proc", "/proc", "rbind")
    if isolation.privileged:
        for place in ("/sys", "/sys/fs/cgroup"):
            options = by_place[place].get("options", [])
            by_place[place]["options"] = [option for option in options if option != "ro"]
    by_place |= _memory_of_others(donors.get("ipc"), isolation, own)
    if mapping is not None and "ipc" not in own:
        del by_place[_MQUEUE]  # Only who owns the ipc namespace may mount its queues.
    if isolation.ipc_mode == "none":
        del by_place[_SHM]
    return [by_place[place] for place in _in_order(by_place, mounts)]


def tmpfs_of(isolation: Isolation) -> list[Mount]:
    """Return the mounts of ``--tmpfs``."""
    return [_tmpfs(path, text) for path, text in isolation.tmpfs.items()]


def _memory_of_others(donor: Donor | None, isolation: Isolation, own: set[str]) -> dict[str, Mount]:
    """Return /dev/shm where it is not the container's own."""
    if "ipc" not in own:
        return {_SHM: _bind(_SHM, _SHM)}
    if donor is not None and donor_of(isolation.ipc_mode):
        # By this path for foreign runtimes; ours takes it by the donor's descriptor.
        return {_SHM: _bind(_SHM, f"/proc/{donor.pid}/root{_SHM}")}
    return {}


def _in_order(by_place: Mapping[str, Mount], usual: Sequence[Mount]) -> list[str]:
    """Return the usual places in their order, then the others, what is above first."""
    known = [mount["destination"] for mount in usual if mount["destination"] in by_place]
    others = [place for place in by_place if place not in known]
    return [*known, *sorted(others, key=lambda place: (place.count("/"), place))]


def devices_of(
    found: Iterable[FoundDevice], *, is_rootless: bool
) -> tuple[list[Device], list[Mount]]:
    """Return the nodes to make and the mounts to bind: in a user namespace none may be made."""
    devices = {device["path"]: device for device in defaults.default_devices()}
    mounts: list[Mount] = []
    for each in found:
        if not is_rootless:
            devices[each.path] = {
                "path": each.path,
                "type": each.kind,
                "major": each.major,
                "minor": each.minor,
                "fileMode": each.mode,
                "uid": each.uid,
                "gid": each.gid,
            }
        elif each.path not in devices:
            mounts.append(_bind(each.path, each.source))
    return list(devices.values()), mounts


def device_rules_of(isolation: Isolation, found: Iterable[FoundDevice]) -> list[DeviceRule]:
    """Return the rules of the device cgroup; the last one that matches decides."""
    if isolation.privileged:
        return []  # As the engine's own cgroup has it, which nothing below can widen.
    rules = defaults.device_rules()
    for each in found:
        rules.append(
            {
                "allow": True,
                "type": each.kind,
                "major": each.major,
                "minor": each.minor,
                "access": each.permissions,
            }
        )
    for text in isolation.device_cgroup_rules:
        rules += _cgroup_rules(text)
    return rules


def _cgroup_rules(text: str) -> list[DeviceRule]:
    kind, numbers, access = text.split(" ")
    major, minor = numbers.split(":")
    rules: list[DeviceRule] = []
    # "a" means everything to cgroup v1, whatever numbers stand behind it.
    for each in ("c", "b") if kind == "a" else (kind,):
        rule: DeviceRule = {"allow": True, "type": each, "access": access}
        if major != "*":
            rule["major"] = int(major)
        if minor != "*":
            rule["minor"] = int(minor)
        rules.append(rule)
    return rules


def masks_of(isolation: Isolation) -> Linux:
    """Return which files of the kernel show nothing, and which cannot be written."""
    if isolation.privileged:
        return {"maskedPaths": [], "readonlyPaths": []}
    masked, readonly = isolation.masked_paths, isolation.readonly_paths
    return {
        "maskedPaths": defaults.masked_paths() if masked is None else list(masked),
        "readonlyPaths": list(defaults.READONLY_PATHS if readonly is None else readonly),
    }


def seccomp_of(
    own: profile.Profile | None, isolation: Isolation, bounding: Sequence[str]
) -> Seccomp | None:
    """Return the system call filter: the client's, else none for a privileged container."""
    if own is not None:
        return profile.expand(own, bounding)
    return None if isolation.privileged else defaults.default_seccomp(bounding)


def rlimits_of(isolation: Isolation) -> list[Rlimit]:
    """Return the resource limits that were asked for."""
    return [
        {
            "type": f"RLIMIT_{ulimit.name.upper()}",
            # -1 is no limit, which the kernel writes as the largest number.
            "soft": ulimit.soft % (1 << 64),
            "hard": ulimit.hard % (1 << 64),
        }
        for ulimit in isolation.ulimits
    ]


def sysctls_of(
    container: Container, namespaces: Iterable[Namespace], *, is_rootless: bool
) -> dict[str, str]:
    """Return the kernel parameters to set: Docker's two, and those that were asked for.

    Without them a program that is not root could neither ping nor listen below port 1024
    (moby, oci.WithSysctls).
    """
    own = {namespace["type"] for namespace in namespaces if "path" not in namespace}
    sysctls: dict[str, str] = {}
    if "network" in own:
        sysctls["net.ipv4.ip_unprivileged_port_start"] = "0"
        if not is_rootless:  # Its last group has no id in the namespace.
            sysctls["net.ipv4.ping_group_range"] = "0 2147483647"
    return sysctls | container.host.isolation.sysctls


def _tmpfs(path: str, text: str) -> Mount:
    options = [*_TMPFS_OPTIONS, *(text.split(",") if text else ())]
    return {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options}


def _bind(destination: str, source: str, kind: str = "bind") -> Mount:
    return {
        "destination": destination,
        "type": "bind",
        "source": source,
        "options": [kind, "rprivate", "nosuid", "noexec"],
    }
