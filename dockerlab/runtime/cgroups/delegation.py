"""Handing controllers down a cgroup v2 tree, to where a container's folder is.

cgroup-v2.rst, "Delegation" and "No Internal Process Constraint".
"""

from __future__ import annotations

import errno
import os

from dockerlab.runtime.cgroups import folder
from dockerlab.runtime.cgroups.folder import CgroupError

__all__ = ["delegate"]

# Below a delegated folder: where its processes move, so that the folder can have limits below it.
_LEAF = "dockerlab-engine"
# What `stats` reads; the time of the CPU is counted without a controller.
_COUNTING = frozenset({"io", "memory", "pids"})


def delegate(mount_point: str, path: str, controllers: set[str]) -> None:
    """Make the folders above the cgroup `path` and hand the controllers down to it.

    A folder has a controller's files when its parent names it in cgroup.subtree_control.
    """
    here = mount_point
    offered = set(folder.read(here, "cgroup.controllers").split())
    if missing := controllers - offered:
        raise _not_delegated(min(missing), errno.ENODEV, here)
    counted = _COUNTING.intersection(offered)
    for part in path.strip("/").split("/"):
        enabled = folder.read(here, "cgroup.subtree_control").split()
        wanted = sorted(controllers.difference(enabled))
        if wanted:
            _make_room(mount_point, here)
        for each in wanted:
            _enable_one(here, each)
        for each in sorted(counted - controllers - set(enabled)):
            _enable_if_allowed(here, each)
        here = f"{here}/{part}"
        folder.make(here)


def _make_room(mount_point: str, here: str) -> None:
    """See that a folder has no process of its own, so that it can hand controllers down.

    Memory and I/O would be refused there (EBUSY). With the others alone the folder would turn
    into a "threaded domain", and the folders below it take no process (EOPNOTSUPP).
    """
    # The root of all is the exception, and has no such file.
    if not os.path.exists(f"{here}/cgroup.type") or not folder.read(here, "cgroup.procs"):
        return
    # Those that were started with us were put where the delegation begins.
    if not _holds_us(mount_point, here):
        raise CgroupError(
            errno.EBUSY,
            "cannot limit below a cgroup that has processes of its own; move them into one"
            " below it, or name another as cgroup_parent",
            here,
        )
    _clear(here)


def _holds_us(mount_point: str, here: str) -> bool:
    """Tell whether the process that calls is in this very folder."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        own = file.read().rstrip("\n").rpartition("0::")[2]
    return f"{mount_point}/{own.strip('/')}".rstrip("/") == here.rstrip("/")


def _clear(here: str) -> None:
    """Move the processes of a folder into one below it, which stays as long as they do."""
    leaf = f"{here}/{_LEAF}"
    folder.make(leaf)
    while inside := [pid for pid in folder.read(here, "cgroup.procs").split() if pid != "0"]:
        for pid in inside:
            try:
                folder.write(leaf, "cgroup.procs", pid, "make room for limits")
            except CgroupError as error:
                if error.errno != errno.ESRCH:
                    raise


def _enable_one(here: str, controller: str) -> None:
    value, purpose = f"+{controller}", f"enable {controller} limits"
    try:
        folder.write(here, "cgroup.subtree_control", value, purpose)
    except CgroupError as error:
        if error.errno in {errno.EACCES, errno.EPERM, errno.ENOENT}:
            raise _not_delegated(controller, error.errno, here) from error
        raise


def _not_delegated(controller: str, number: int, here: str) -> CgroupError:
    return CgroupError(
        number,
        f'the cgroup controller "{controller}" is not delegated to us, so its limit cannot be set;'
        " leave the limit out, or have the service manager delegate it",
        here,
    )


def _enable_if_allowed(here: str, controller: str) -> None:
    """Have a controller count, for `docker stats`; nobody asked for a limit of it."""
    try:
        folder.write(here, "cgroup.subtree_control", f"+{controller}", "count")
    except CgroupError:
        return
