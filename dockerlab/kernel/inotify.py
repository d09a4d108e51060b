"""inotify: be told when a file changes.

Used by the daemon, not on the way of a start; see inotify(7).
"""

import ctypes
import os

__all__ = ["watch"]

# The names are those of sys/inotify.h; see inotify_init1(2) and inotify_add_watch(2).
_IN_NONBLOCK = os.O_NONBLOCK
_IN_CLOEXEC = os.O_CLOEXEC
_IN_MODIFY = 0x2

_LIBC = ctypes.CDLL(None, use_errno=True)


def watch(path: str) -> int:
    """Return a descriptor that is readable when the file at `path` was written to.

    The caller reads it empty (it never blocks) and closes it.

    Raises
    ------
    OSError
        The file is missing, or the user's limit of watches is reached.
    """
    fd: int = _LIBC.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
    if fd < 0:
        raise _error(path)
    if _LIBC.inotify_add_watch(fd, os.fsencode(path), _IN_MODIFY) < 0:
        error = _error(path)
        os.close(fd)
        raise error
    return fd


def _error(path: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)
