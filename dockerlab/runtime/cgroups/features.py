"""Which limits the kernel of this host can keep. Not import-light: for the daemon.

Files of the root of a hierarchy are looked at, for before a container has its folder there is no
other.
"""

import os

from dockerlab.runtime.cgroups import tree
from dockerlab.runtime.cgroups.tree import CgroupTree

__all__ = ["ALL", "features", "host_features"]

# Limit -> controller and file of v1; a file of "" is there with the controller.
_V1 = {
    "memory": ("memory", "memory.limit_in_bytes"),
    "swap": ("memory", "memory.memsw.limit_in_bytes"),
    "reservation": ("memory", "memory.soft_limit_in_bytes"),
    "swappiness": ("memory", "memory.swappiness"),
    "oom-kill-disable": ("memory", "memory.oom_control"),
    "cpu-shares": ("cpu", "cpu.shares"),
    "cpu-quota": ("cpu", "cpu.cfs_quota_us"),
    "cpuset": ("cpuset", "cpuset.cpus"),
    "pids": ("pids", ""),
    "blkio": ("blkio", ""),
}
# Limit -> controller of v2. What is missing of v1's, v2 does not have.
_V2 = {
    "memory": "memory",
    "swap": "memory",
    "reservation": "memory",
    "cpu-shares": "cpu",
    "cpu-quota": "cpu",
    "cpuset": "cpuset",
    "pids": "pids",
    "blkio": "io",
}
ALL = frozenset(_V1)


def host_features() -> frozenset[str]:
    """Return the limits of this host; none where no cgroups are mounted."""
    try:
        return features(tree.detect())
    except tree.CgroupError:
        return frozenset()


def features(cgroups: CgroupTree) -> frozenset[str]:
    """Return the limits that these cgroups have."""
    if cgroups.version == 1:
        return frozenset(
            name for name, (controller, file) in _V1.items() if _has(cgroups, controller, file)
        )
    found = {name for name, controller in _V2.items() if cgroups.mount_point(controller)}
    if "swap" in found and not _counts_swap(cgroups.mount_point("memory")):
        found.discard("swap")
    return frozenset(found)


def _counts_swap(mounted: str) -> bool:
    """Tell whether v2 counts swap: by any folder below the root, which has no such files itself."""
    with os.scandir(mounted) as entries:
        for entry in entries:
            if os.path.exists(f"{entry.path}/memory.current"):
                return os.path.exists(f"{entry.path}/memory.swap.max")
    # Nobody counts memory yet. A kernel without swap has no /proc/swaps (mm/swapfile.c).
    return os.path.exists("/proc/swaps")


def _has(cgroups: CgroupTree, controller: str, file: str) -> bool:
    mounted = cgroups.mount_point(controller)
    return bool(mounted) and os.path.exists(f"{mounted}/{file}")
