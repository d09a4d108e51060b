"""One thin function per system call that Python's `os` lacks.

Each takes plain values, returns plain values, and raises OSError with the kernel's errno and the
path that it was about. Nothing here knows what a container is. The functions that the mount plan
uses have a recording double in `kernel.fake`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from dockerlab.kernel import constants

_LIBC = ctypes.CDLL(None, use_errno=True)
# Every argument travels in a whole register: None, bytes and integers alike.
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
_SYSCALL.argtypes = [ctypes.c_long] + [ctypes.c_void_p] * 6

# Calls added since Linux 5.1 have one number on every architecture; the last two are older.
_OPEN_TREE = 428
_MOVE_MOUNT = 429
_FSOPEN = 430
_FSCONFIG = 431
_FSMOUNT = 432
_CLOSE_RANGE = 436
_OPENAT2 = 437
_MOUNT_SETATTR = 442
_RT_SIGACTION = {"x86_64": 13, "aarch64": 134, "riscv64": 134, "s390x": 174, "ppc64le": 173}
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "s390x": 217, "ppc64le": 203}


def _call(number: int, path: str, *arguments: int | bytes | None) -> int:
    """Make the system call `number`; `path` only makes the error legible."""
    result: int = _SYSCALL(number, *arguments, *(None,) * (6 - len(arguments)))
    if result < 0:
        _fail(path)
    return result


def _fail(path: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), path)


# ------------------------------------------------------------------------------------- namespaces


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. unshare(2)."""
    if _LIBC.unshare(ctypes.c_int(flags)) < 0:
        _fail("")


def setns(fd: int, flags: int) -> None:
    """Join the namespace of `fd`, or those in `flags` of a pidfd's process. setns(2)."""
    if _LIBC.setns(ctypes.c_int(fd), ctypes.c_int(flags)) < 0:
        _fail("")


# ----------------------------------------------------------------------------------------- mounts


def mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    """Mount in the old way, for what the newer calls cannot say. mount(2)."""
    result = _LIBC.mount(
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(kind),
        ctypes.c_ulong(flags),
        os.fsencode(data),
    )
    if result < 0:
        _fail(target)


def umount(target: str, flags: int) -> None:
    """Unmount what is at `target`. umount2(2)."""
    if _LIBC.umount2(os.fsencode(target), ctypes.c_int(flags)) < 0:
        _fail(target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root of this mount namespace. pivot_root(2)."""
    number = _PIVOT_ROOT[os.uname().machine]
    _call(number, new_root, os.fsencode(new_root), os.fsencode(put_old))


def fsopen(kind: str) -> int:
    """Begin to configure a file system of this type; the caller closes. fsopen(2)."""
    return _call(_FSOPEN, kind, os.fsencode(kind), constants.FSOPEN_CLOEXEC)


def fsconfig_string(fs_fd: int, key: str, value: str) -> None:
    """Set one parameter, as `key=value` in the options of mount(8). fsconfig(2)."""
    command = constants.FSCONFIG_SET_STRING
    _call(_FSCONFIG, value, fs_fd, command, os.fsencode(key), os.fsencode(value), 0)


def fsconfig_flag(fs_fd: int, key: str) -> None:
    """Set one parameter without a value. fsconfig(2)."""
    _call(_FSCONFIG, key, fs_fd, constants.FSCONFIG_SET_FLAG, os.fsencode(key), None, 0)


def fsconfig_create(fs_fd: int) -> None:
    """Make the superblock. fsconfig(2)."""
    _call(_FSCONFIG, "", fs_fd, constants.FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fs_fd: int, attributes: int) -> int:
    """Return a mount that is nowhere yet; the caller moves it and closes. fsmount(2)."""
    return _call(_FSMOUNT, "", fs_fd, constants.FSMOUNT_CLOEXEC, attributes)


def open_tree(directory_fd: int, path: str, flags: int) -> int:
    """Open, or with ``OPEN_TREE_CLONE`` copy, a mount; the caller closes. open_tree(2)."""
    flags |= constants.OPEN_TREE_CLOEXEC
    if not path:
        flags |= constants.AT_EMPTY_PATH
    return _call(_OPEN_TREE, path, directory_fd, os.fsencode(path), flags)


def move_mount(mount_fd: int, target_fd: int) -> None:
    """Attach the mount to what `target_fd` has open: no path, so no link, is followed.

    move_mount(2)
    """
    flags = constants.MOVE_MOUNT_F_EMPTY_PATH | constants.MOVE_MOUNT_T_EMPTY_PATH
    _call(_MOVE_MOUNT, "", mount_fd, b"", target_fd, b"", flags)


def mount_setattr(
    mount_fd: int, set_: int, clear: int, propagation: int, *, recursive: bool
) -> None:
    """Change the attributes of a mount, or of all below it. mount_setattr(2)."""
    value = struct.pack("=QQQQ", set_, clear, propagation, 0)
    flags = constants.AT_EMPTY_PATH | (constants.AT_RECURSIVE if recursive else 0)
    _call(_MOUNT_SETATTR, "", mount_fd, b"", flags, value, len(value))


# ------------------------------------------------------------------------------------------ files


def openat2(directory_fd: int, path: str, flags: int, resolve: int) -> int:
    """Open `path` under the rules of `resolve`; the caller closes. openat2(2).

    The kernel answers EAGAIN when a rename elsewhere makes it unsure of the way; trying again is
    what the manual asks for.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)
    while True:
        try:
            return _call(_OPENAT2, path, directory_fd, os.fsencode(path), how, len(how))
        except BlockingIOError as error:
            if error.errno != errno.EAGAIN:
                raise


def filesystem_type(fd: int) -> int:
    """Return the magic number of the file system that `fd` is on. fstatfs(2)."""
    buffer = ctypes.create_string_buffer(256)
    if _LIBC.fstatfs(ctypes.c_int(fd), buffer) < 0:
        _fail("")
    # f_type is the first member, a long of the machine.
    magic: int = struct.unpack_from("@l", buffer)[0]
    return magic


def fstat(fd: int) -> os.stat_result:
    """Return what kind of file `fd` has open. fstat(2)."""
    return os.fstat(fd)


def mkdirat(directory_fd: int, name: str, mode: int) -> None:
    """Make a directory below an open one. mkdirat(2)."""
    os.mkdir(name, mode, dir_fd=directory_fd)


def mknodat(directory_fd: int, name: str, mode: int, device: int) -> None:
    """Make a node or an empty file below an open directory. mknodat(2)."""
    os.mknod(name, mode, device, dir_fd=directory_fd)


def symlinkat(text: str, directory_fd: int, name: str) -> None:
    """Make a symbolic link below an open directory. symlinkat(2)."""
    os.symlink(text, name, dir_fd=directory_fd)


def chownat(directory_fd: int, name: str, uid: int, gid: int) -> None:
    """Change the owner of a file below an open directory, never of a link's target. fchownat(2)."""
    os.chown(name, uid, gid, dir_fd=directory_fd, follow_symlinks=False)


def write(fd: int, data: bytes) -> None:
    """Write a small file of the kernel in one go. write(2)."""
    os.write(fd, data)


def close(fd: int) -> None:
    """Close a descriptor. close(2)."""
    os.close(fd)


def close_range(first: int, last: int = constants.CLOSE_RANGE_LAST) -> None:
    """Close every descriptor from `first` to `last`, both included. close_range(2)."""
    if first > last:
        return
    try:
        _call(_CLOSE_RANGE, "", first, last, 0)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))


# ---------------------------------------------------------------------------------------- process


def _prctl(option: int, argument: int | bytes) -> None:
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    zero = ctypes.c_ulong(0)
    if _LIBC.prctl(ctypes.c_int(option), value, zero, zero, zero) < 0:
        _fail("")


def set_process_name(name: str) -> None:
    """Name this process for ps(1); the kernel keeps 15 bytes. PR_SET_NAME(2const)."""
    _prctl(constants.PR_SET_NAME, os.fsencode(name)[:15])


def become_subreaper() -> None:
    """Be the parent of descendants whose own parent ends. PR_SET_CHILD_SUBREAPER(2const)."""
    _prctl(constants.PR_SET_CHILD_SUBREAPER, 1)


def set_dumpable(*, dumpable: bool) -> None:
    """Say whether others of the same user may trace this process. PR_SET_DUMPABLE(2const)."""
    _prctl(constants.PR_SET_DUMPABLE, int(dumpable))


def forget_internal_signals() -> None:
    """Give the two signals that glibc keeps for itself their default action. sigaction(2).

    glibc refuses to speak of them, but a child of its posix_spawn(3), as every command of make(1)
    is, inherits them ignored, and execve(2) hands that on.
    """
    # struct sigaction of the kernel: SIG_DFL, no flags, no restorer, an empty mask.
    default = bytes(32)
    for number in (32, 33):
        _call(_RT_SIGACTION[os.uname().machine], "", number, default, None, 8)


def ptrace(request: int, pid: int) -> None:
    """Trace a process, for the requests that take neither address nor data. ptrace(2)."""
    if _LIBC.ptrace(ctypes.c_long(request), ctypes.c_int(pid), None, None) < 0:
        _fail("")


def setrlimit(resource: int, soft: int, hard: int) -> None:
    """Set a limit of this process; the largest number is no limit. prlimit(2)."""
    value = struct.pack("=QQ", soft & constants.RLIM_INFINITY, hard & constants.RLIM_INFINITY)
    if _LIBC.prlimit64(ctypes.c_int(0), ctypes.c_int(resource), value, None) < 0:
        _fail("")


def sethostname(name: str) -> None:
    """Set the host name of this UTS namespace. sethostname(2)."""
    value = os.fsencode(name)
    if _LIBC.sethostname(value, ctypes.c_size_t(len(value))) < 0:
        _fail(name)


def setdomainname(name: str) -> None:
    """Set the NIS domain name of this UTS namespace. setdomainname(2)."""
    value = os.fsencode(name)
    if _LIBC.setdomainname(value, ctypes.c_size_t(len(value))) < 0:
        _fail(name)


def ioctl(fd: int, request: int, argument: int) -> int:
    """Control a device with a number. ioctl(2)."""
    result: int = _LIBC.ioctl(ctypes.c_int(fd), ctypes.c_ulong(request), ctypes.c_long(argument))
    if result < 0:
        _fail("")
    return result


def ioctl_write(fd: int, request: int, argument: bytes) -> None:
    """Control a device with a structure that the kernel only reads. ioctl(2)."""
    if _LIBC.ioctl(ctypes.c_int(fd), ctypes.c_ulong(request), argument) < 0:
        _fail("")


def syncfs(fd: int) -> None:
    """Write everything of the file system that `fd` is on to the disk: syncfs(2)."""
    if _LIBC.syncfs(fd) != 0:
        _fail("")
