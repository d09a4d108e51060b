"""The terminal of a container: a pair of the container's own /dev/pts.

Made inside, so that it is listed there and ttyname(3) works; the master side goes to the monitor.
Descriptors only: `/dev/console` and `/dev/ptmx` are names that an image or an earlier process may
have turned into something else (CVE-2025-52565). See pty(7), pts(4).
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime.inside import Held, make_file, open_path

__all__ = ["cover_console", "make_controlling", "open_pair"]

_PTMX_DEVICE = os.makedev(5, 2)


def open_pair(root_fd: int) -> tuple[int, int]:
    """Return master and slave of a new terminal of the root's devpts; the caller closes."""
    flags = os.O_RDWR | os.O_NOCTTY
    master = open_path(syscalls, root_fd, "/dev/pts/ptmx", follow=False, flags=flags)
    found = os.fstat(master)
    is_ptmx = stat.S_ISCHR(found.st_mode) and found.st_rdev == _PTMX_DEVICE
    if not is_ptmx or syscalls.filesystem_type(master) != constants.DEVPTS_SUPER_MAGIC:
        os.close(master)
        raise OSError(errno.EINVAL, "not the multiplexer of a devpts", "/dev/pts/ptmx")
    syscalls.ioctl_write(master, constants.TIOCSPTLCK, b"\0\0\0\0")
    slave = syscalls.ioctl(master, constants.TIOCGPTPEER, flags)
    os.set_inheritable(slave, False)  # noqa: FBT003 - the standard library's own signature
    return master, slave


def cover_console(root_fd: int, slave: int) -> None:
    """Let /dev/console be this terminal, as in runc and Docker."""
    with (
        Held(syscalls, make_file(syscalls, root_fd, "/dev/console")) as target_fd,
        Held(syscalls, syscalls.open_tree(slave, "", constants.OPEN_TREE_CLONE)) as tree_fd,
    ):
        syscalls.move_mount(tree_fd, target_fd)


def make_controlling(slave: int) -> None:
    """Make it the controlling terminal of this process, the leader of its session. ioctl_tty(2)."""
    syscalls.ioctl(slave, constants.TIOCSCTTY, 0)
