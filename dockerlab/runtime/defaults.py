"""What a container gets when nobody asks for anything else: Docker's defaults.

Facts of moby's ``daemon/pkg/oci`` and of the runtime spec (config-linux.md), as values. The engine
puts them into a spec; nothing here acts. The system call filter is in `profile.json`, in the form
that ``--security-opt seccomp=FILE`` takes, and `runtime.profile` reads both.
"""

import glob
from collections.abc import Sequence

from dockerlab.errors import InvalidArgument
from dockerlab.oci.runtimespec import Device, DeviceRule, Mount, Seccomp
from dockerlab.runtime import capabilities, profile

__all__ = [
    "DEFAULT_CAPABILITIES",
    "DEFAULT_PATH",
    "MASKED_PATHS",
    "READONLY_PATHS",
    "default_devices",
    "default_mounts",
    "default_seccomp",
    "device_rules",
    "effective_capabilities",
    "masked_paths",
]

# The bounding set a80425fb.
DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

# The PATH of a container whose image sets none.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What tells about, or reaches into, the host. `masked_paths` adds those that depend on the host.
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",  # timing of keystrokes: GHSA-6fw5-f8r9-fgfm
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",  # power side channel: GHSA-jq35-85cj-fj4p
    "/sys/firmware",
)

READONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)

_NOTHING_SPECIAL = ["nosuid", "noexec", "nodev"]

# Name, major, minor; config-linux.md#default-devices, Documentation/admin-guide/devices.txt.
_DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)

# Usable without a node of ours: the console, the multiplexer of /dev/pts, and the terminals in it.
_TERMINALS = ((5, 1), (5, 2), (136, -1))

_EVERYTHING = "ALL"


def effective_capabilities(
    add: Sequence[str] = (), drop: Sequence[str] = (), *, is_rootless: bool = False
) -> list[str]:
    """Return a container's capabilities after ``--cap-add`` and ``--cap-drop``.

    Parameters
    ----------
    add, drop : sequence of str
        Names in either case, with or without ``CAP_``; ``ALL`` is all that this host can give.
    is_rootless : bool
        The container lives in a user namespace of its engine.

    Returns
    -------
    list of str
        Full names without repetition, in Docker's order.

    Raises
    ------
    InvalidArgument
        For an unknown name, or one that this process has not itself.

    Examples
    --------
    >>> effective_capabilities(drop=["all"], add=["chown", "CAP_KILL"], is_rootless=True)
    ['CAP_CHOWN', 'CAP_KILL']
    """
    given = capabilities.known() if is_rootless else capabilities.available()
    added = [_full_name(name, given) for name in add]
    dropped = {_full_name(name, given) for name in drop}
    if _EVERYTHING in added:
        return [name for name in given if name not in dropped]
    if _EVERYTHING in dropped:
        return list(dict.fromkeys(added))
    kept = [name for name in DEFAULT_CAPABILITIES if name not in dropped]
    return list(dict.fromkeys([*kept, *added]))


def default_mounts(
    shm_size_bytes: int, *, has_tty_group: bool = True, has_own_sysfs: bool = True
) -> list[Mount]:
    """Return the mounts that every container has, in the order in which they are made.

    Parameters
    ----------
    shm_size_bytes : int
        Of /dev/shm; Docker's default is 64 MiB.
    has_tty_group : bool
        The group 5 exists: in a user namespace of one id it does not.
    has_own_sysfs : bool
        A sysfs can be mounted; it shows a network, so that needs one of the same user namespace.
    """
    # gid 5 is the group tty, by convention of every distribution.
    tty_group = ["gid=5"] if has_tty_group else []
    sysfs = _mount("/sys", "sysfs", "sysfs", [*_NOTHING_SPECIAL, "ro"])
    if not has_own_sysfs:
        sysfs = _mount("/sys", "bind", "/sys", ["rbind", "rprivate", *_NOTHING_SPECIAL, "ro"])
    return [
        _mount("/proc", "proc", "proc", _NOTHING_SPECIAL),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *tty_group],
        ),
        sysfs,
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", ["ro", *_NOTHING_SPECIAL]),
        _mount("/dev/mqueue", "mqueue", "mqueue", _NOTHING_SPECIAL),
        _mount(
            "/dev/shm",  # noqa: S108 - a place in the container
            "tmpfs",
            "shm",
            [*_NOTHING_SPECIAL, "mode=1777", f"size={shm_size_bytes}"],
        ),
    ]


def default_devices() -> list[Device]:
    """Return the device nodes of every container, mode 0666 and owned by root."""
    return [
        {
            "path": f"/dev/{name}",
            "type": "c",
            "major": major,
            "minor": minor,
            "fileMode": 0o666,
            "uid": 0,
            "gid": 0,
        }
        for name, major, minor in _DEVICES
    ]


def device_rules() -> list[DeviceRule]:
    """Return the device rules: nothing, but any node may be made, and the usual ones used.

    Making a node (CAP_MKNOD) is harmless while opening it is refused, and package managers do it.
    The list is the one that runc adds to Docker's.
    """
    usable = [(major, minor) for _, major, minor in _DEVICES] + list(_TERMINALS)
    return [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "b", "access": "m"},
        *(_usable_device(major, minor) for major, minor in usable),
    ]


def masked_paths() -> list[str]:
    """Return `MASKED_PATHS` and those that this host has: thermal throttling of each CPU."""
    return [*MASKED_PATHS, *sorted(glob.glob("/sys/devices/system/cpu/cpu*/thermal_throttle"))]


def default_seccomp(bounding: Sequence[str]) -> Seccomp:
    """Return Docker's default system call filter for this host.

    Parameters
    ----------
    bounding : sequence of str
        The container's capabilities: some of them allow system calls.
    """
    return profile.expand(profile.default_profile(), bounding)


def _full_name(name: str, given: Sequence[str]) -> str:
    upper = name.upper()
    if upper == _EVERYTHING:
        return upper
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in capabilities.NAMES:
        raise InvalidArgument(f'unknown capability: "{full}"', "the names are in capabilities(7)")
    if full not in given:
        raise InvalidArgument(
            "capability not supported by your kernel or not available in the current environment:"
            f' "{full}"'
        )
    return full


def _mount(destination: str, kind: str, source: str, options: list[str]) -> Mount:
    return {
        "destination": destination,
        "type": kind,
        "source": source,
        "options": list(options),
    }


def _usable_device(major: int, minor: int) -> DeviceRule:
    rule: DeviceRule = {"allow": True, "type": "c", "major": major, "access": "rwm"}
    if minor >= 0:
        rule["minor"] = minor
    return rule
