"""The root of a container for a process of ours that works on its files, and runs nothing in it.

Of a running container that is its own mount namespace, so that what it has mounted is seen and what
is written is seen by it; of any other one its layers and binds, mounted in a namespace that nobody
else is in. Either way the root of the mount namespace is the container's: no link and no race leads
out of it, and imports are blocked before (CVE-2018-15664, CVE-2019-14271).
"""

from __future__ import annotations

import os

from dockerlab.kernel import constants, privileges, syscalls
from dockerlab.runtime import capabilities, mounts, rootfs
from dockerlab.runtime.protocol import Step
from dockerlab.runtime.zygote import block_imports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerlab.oci.runtimespec import Mount
    from dockerlab.runtime.rootfs import Overlay

__all__ = ["enter", "enter_folder", "mount_privately"]

# What it takes to read and write files of any owner, and nothing else.
_CAPABILITIES = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_MKNOD",
    "CAP_SETFCAP",
]


def enter(root: dict[str, Any], init_pidfd: int) -> None:
    """Make a container's root the root of this process, which must be about to end.

    Parameters
    ----------
    root : dict
        ``overlay``, ``mount_point`` and ``mounts`` (those of a spec) of a container that does not
        run.
    init_pidfd : int
        The first process of one that runs, else -1.

    Notes
    -----
    As: a child of the zygote, all its privileges. Afterwards: those over files only.
    """
    if init_pidfd >= 0:
        block_imports()
        syscalls.setns(init_pidfd, constants.CLONE_NEWNS)
        os.close(init_pidfd)
    else:
        root_fd = mount_privately(root["overlay"], root["mount_point"])
        block_imports()
        _bind(root["mounts"], root_fd)
        if root.get("readonly"):
            syscalls.mount_setattr(root_fd, constants.MOUNT_ATTR_RDONLY, 0, 0, recursive=False)
        rootfs.pivot(root_fd)
        os.close(root_fd)
    _give_up_privileges()


def enter_folder(folder: str) -> None:
    """Make a folder that nothing is mounted in the root of this process, about to end."""
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    block_imports()
    os.fchdir(folder_fd)
    os.chroot(".")
    os.close(folder_fd)
    _give_up_privileges()


def _give_up_privileges() -> None:
    """Keep the privileges over files only."""
    os.umask(0)
    privileges.prctl(privileges.PR_SET_NO_NEW_PRIVS, 1)
    capabilities.limit_bounding(_CAPABILITIES)
    held = set(capabilities.names_of(privileges.capget()[1]))
    kept = [name for name in _CAPABILITIES if name in held]
    capabilities.apply({"bounding": kept, "effective": kept, "permitted": kept})


def mount_privately(overlay: Overlay, mount_point: str) -> int:
    """Mount a root in a mount namespace of this process alone; return it, the caller closes."""
    syscalls.unshare(constants.CLONE_NEWNS)
    with Step("rootfs", mount_point):
        return rootfs.mount_overlay(syscalls, overlay, mount_point)


def _bind(wanted: list[Mount], root_fd: int) -> None:
    for operation in mounts.plan_binds(wanted):
        with Step(operation.step, operation.path):
            operation.perform(syscalls, root_fd)
