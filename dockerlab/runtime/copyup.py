"""What lies under a new file system, copied into it before it covers that: option ``tmpcopyup``.

Descriptors only: what is copied is an image's, and a link of it is copied and never followed.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.runtime.inside import Kernel

__all__ = ["copy_up"]

_COPY_BYTES = 1 << 20
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# Any image's tree is flatter; a deeper one would exhaust descriptors.
_DEEPEST = 64


def copy_up(kernel: Kernel, source_fd: int, target_fd: int, depth: int = 0) -> None:
    """Copy the files, folders and links of a directory with their owners and modes.

    Devices, fifos and sockets are left out.

    Parameters
    ----------
    source_fd, target_fd : int
        Directories; they may be open as paths only (O_PATH).
    """
    if depth > _DEEPEST:
        raise OSError(0, "its folders are nested too deeply to be copied", "")
    source = kernel.openat2(source_fd, ".", _READ, 0)
    target = kernel.openat2(target_fd, ".", _READ, 0)
    try:
        names = os.listdir(source)
        for name in names:
            _copy_entry(kernel, source, target, name, depth)
        _give(target, os.fstat(source))
    finally:
        kernel.close(target)
        kernel.close(source)


def _copy_entry(kernel: Kernel, source: int, target: int, name: str, depth: int) -> None:
    found = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    elif stat.S_ISDIR(found.st_mode):
        os.mkdir(name, 0o700, dir_fd=target)
        below, made = (os.open(name, _READ | os.O_CLOEXEC, dir_fd=fd) for fd in (source, target))
        try:
            copy_up(kernel, below, made, depth + 1)
        finally:
            os.close(below)
            os.close(made)
    elif stat.S_ISREG(found.st_mode):
        _copy_file(source, target, name)


def _copy_file(source: int, target: int, name: str) -> None:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    read = os.open(name, os.O_RDONLY | flags, dir_fd=source)
    try:
        write = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=target)
        try:
            while os.sendfile(write, read, None, _COPY_BYTES):
                pass
            _give(write, os.fstat(read))
        finally:
            os.close(write)
    finally:
        os.close(read)


def _give(fd: int, like: os.stat_result) -> None:
    # The owner first: a change of owner takes the set-user-ID bit away.
    os.fchown(fd, like.st_uid, like.st_gid)
    os.fchmod(fd, stat.S_IMODE(like.st_mode))
