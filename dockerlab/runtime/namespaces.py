"""Leaving the host's namespaces for new ones, or joining those of a container.

Which namespaces is the spec's decision (config-linux.md#namespaces). The pid namespace is left by
the monitor, for it is a process's children that are in the new one. See namespaces(7).
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from dockerlab.kernel import constants, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.oci.runtimespec import Namespace

__all__ = [
    "borrow_mount",
    "bring_loopback_up",
    "join",
    "leave",
    "leave_pid",
    "return_to_own_pid",
]

_FLAGS = {
    # The cgroup that this process is in becomes the root of what it sees; cgroup_namespaces(7).
    "cgroup": constants.CLONE_NEWCGROUP,
    "mount": constants.CLONE_NEWNS,
    "uts": constants.CLONE_NEWUTS,
    "ipc": constants.CLONE_NEWIPC,
    "network": constants.CLONE_NEWNET,
}


def leave_pid(namespaces: list[Namespace], donors: dict[str, int]) -> None:
    """Have the next child be PID 1 of a new pid namespace, or a member of another's.

    Parameters
    ----------
    donors : dict of str to int
        Kind of namespace -> pidfd of the process whose one is joined, before any path.
    """
    for namespace in namespaces:
        if namespace["type"] == "pid":
            if "pid" in donors:
                syscalls.setns(donors["pid"], constants.CLONE_NEWPID)
            elif "path" in namespace:
                _join_path(namespace["path"], constants.CLONE_NEWPID)
            else:
                syscalls.unshare(constants.CLONE_NEWPID)


def return_to_own_pid() -> None:
    """Undo `leave_pid`: have the next child be in this process's own pid namespace again."""
    _join_path("/proc/self/ns/pid", constants.CLONE_NEWPID)


def leave(namespaces: list[Namespace], donors: dict[str, int]) -> None:
    """Enter new cgroup, mount, uts, ipc and network namespaces, or those of donors and paths.

    Notes
    -----
    In a new network namespace the loopback interface is up, as it is with Docker's network "none".
    """
    flags = 0
    # Paths are the host's: all are opened and joined before the mount namespace changes.
    for namespace in namespaces:
        flag = _FLAGS.get(namespace["type"], 0)
        if namespace["type"] in donors and flag:
            syscalls.setns(donors[namespace["type"]], flag)
        elif "path" in namespace and flag:
            _join_path(namespace["path"], flag)
        else:
            flags |= flag
    syscalls.unshare(flags)
    if flags & constants.CLONE_NEWNET:
        bring_loopback_up()


def join(pidfd: int, namespaces: list[Namespace]) -> None:
    """Enter the namespaces of a running process that its spec has, but not its pid namespace.

    What it shares with the host is ours already, and in a user namespace may not be joined. Root
    and working directory become those of its mount namespace. A descriptor and not a number:
    who calls is in the pid namespace already, where the process has another number. setns(2), since
    Linux 5.8
    """
    flags = 0
    for namespace in namespaces:
        flags |= _FLAGS.get(namespace["type"], 0)
    syscalls.setns(pidfd, flags)


def borrow_mount(pidfd: int, path: str, magic: int) -> int:
    """Return a copy of what is mounted at `path` for another process; the caller closes.

    The path is resolved in the other's mount namespace, with its root and without following any
    link, and this process comes back to its own root afterwards.

    Parameters
    ----------
    magic : int
        The type of file system that it must be, as in statfs(2).

    Raises
    ------
    OSError
        It is not there, or is not what it should be.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    own, root = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), os.open("/", flags)
    try:
        syscalls.setns(pidfd, constants.CLONE_NEWNS)
        resolve = constants.RESOLVE_NO_SYMLINKS | constants.RESOLVE_NO_MAGICLINKS
        found = syscalls.openat2(constants.AT_FDCWD, path, os.O_PATH, resolve)
        try:
            if syscalls.filesystem_type(found) != magic:
                raise OSError(errno.EINVAL, "not the file system that it should be", path)
            return syscalls.open_tree(found, "", constants.OPEN_TREE_CLONE)
        finally:
            os.close(found)
            syscalls.setns(own, constants.CLONE_NEWNS)
            os.fchdir(root)
            os.chroot(".")
            os.chdir("/")
    finally:
        os.close(own)
        os.close(root)


def bring_loopback_up() -> None:
    """Set the interface "lo" up. netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        request = struct.pack(f"={constants.IFNAMSIZ}sH22x", b"lo", constants.IFF_UP)
        syscalls.ioctl_write(sock.fileno(), constants.SIOCSIFFLAGS, request)


def _join_path(path: str, flag: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(fd, flag)
    finally:
        os.close(fd)
