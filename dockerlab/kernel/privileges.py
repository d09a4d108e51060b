"""The system calls by which a process gives up what it may do: prctl, capset and seccomp.

One thin function per call, constants under their header names. What is given up, and in which
order, is not decided here but in `runtime.capabilities`, `runtime.seccomp` and `runtime.init`.

Light on purpose: PID 1 of a container imports this file before it changes its root.
"""

import ctypes
import os
import struct

__all__ = [
    "PR_CAPBSET_DROP",
    "PR_CAPBSET_READ",
    "PR_CAP_AMBIENT",
    "PR_CAP_AMBIENT_CLEAR_ALL",
    "PR_CAP_AMBIENT_RAISE",
    "PR_SET_KEEPCAPS",
    "PR_SET_NO_NEW_PRIVS",
    "SECCOMP_FILTER_FLAG_LOG",
    "capget",
    "capset",
    "prctl",
    "seccomp_set_mode_filter",
]

# Options of prctl(2), as in linux/prctl.h.
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

# capget(2); linux/capability.h. Version 3 has two words of 32 bits for each set.
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_LOW_WORD = 0xFFFFFFFF

# Operations and flags of seccomp(2), as in linux/seccomp.h.
_SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_LOG = 2

# The numbers of seccomp(2): glibc has no wrapper for it. asm/unistd.h of each machine.
_SECCOMP_NUMBERS = {"x86_64": 317, "aarch64": 277}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def prctl(option: int, argument: int = 0, argument_3: int = 0) -> int:
    """Call prctl(2) with numbers; the last two arguments are zero.

    Returns
    -------
    int
        What the kernel returned, never negative.

    Raises
    ------
    OSError
        With the kernel's errno.
    """
    zero = ctypes.c_ulong(0)
    result: int = _libc.prctl(
        ctypes.c_int(option), ctypes.c_ulong(argument), ctypes.c_ulong(argument_3), zero, zero
    )
    if result < 0:
        raise _os_error(f"prctl {option}")
    return result


def capget() -> tuple[int, int, int]:
    """Return the effective, permitted and inheritable sets of this thread as bit masks.

    See capget(2).
    """
    header = struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    if _libc.capget(header, data) < 0:
        raise _os_error("capget")
    low = struct.unpack_from("=3I", data, 0)
    high = struct.unpack_from("=3I", data, 12)
    return (low[0] | high[0] << 32, low[1] | high[1] << 32, low[2] | high[2] << 32)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the three sets of this thread from bit masks.

    Raises
    ------
    OSError
        EPERM when a set would gain what the permitted set has not. See capset(2).
    """
    sets = (effective, permitted, inheritable)
    header = struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    words = [mask & _LOW_WORD for mask in sets] + [mask >> 32 for mask in sets]
    if _libc.capset(header, struct.pack("=6I", *words)) < 0:
        raise _os_error("capset")


def seccomp_set_mode_filter(program: bytes, flags: int = 0) -> None:
    """Install a BPF program as a filter of this thread; nothing can take it away again.

    Parameters
    ----------
    program : bytes
        Whole ``struct sock_filter``, eight bytes each.
    flags : int
        ``SECCOMP_FILTER_FLAG_*``.

    Raises
    ------
    OSError
        EACCES without CAP_SYS_ADMIN and without no_new_privs; EINVAL for a program that the kernel
        does not accept. See seccomp(2).
    """
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count of 16 bits, padding, a pointer. It points into `instructions`,
    # which must stay referenced until the call has returned.
    sock_fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    result: int = _libc.syscall(
        ctypes.c_long(_SECCOMP_NUMBERS[os.uname().machine]),
        ctypes.c_ulong(_SECCOMP_SET_MODE_FILTER),
        ctypes.c_ulong(flags),
        sock_fprog,
    )
    if result < 0:
        raise _os_error("seccomp")


def _os_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
