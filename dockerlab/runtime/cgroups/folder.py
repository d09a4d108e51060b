"""One folder of a cgroup file system: write, read, empty and remove it.

Which folders a container has is the business of `v1` and `v2`.
"""

import errno
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CgroupError",
    "kill_all",
    "make",
    "processes",
    "read",
    "read_counter",
    "remove",
    "wait_for",
    "write",
]

# How often an operation is tried that the kernel may refuse for a moment, and the pause between.
# A killed process leaves its cgroup some time after its exit status can be had, and rmdir answers
# EBUSY until then. Together about two seconds.
_ATTEMPTS = 200
_PAUSE_MS = 10


class CgroupError(OSError):
    """A cgroup could not be made, changed or removed; the message says which limit and why."""


def make(folder: str) -> None:
    """Make a folder and the ones above it; what exists already is left alone.

    Raises
    ------
    CgroupError
        With the kernel's errno.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise _cgroup_error("cannot make the cgroup", folder, error) from error


def write(folder: str, name: str, value: str, purpose: str) -> None:
    """Write one control file.

    Parameters
    ----------
    folder, name : str
        Where.
    value : str
        Written in one write(2), as the kernel demands.
    purpose : str
        What the caller wants, for the error message: ``limit memory``.

    Raises
    ------
    CgroupError
        With the kernel's errno; ENOENT means that the controller is not there.
    """
    path = f"{folder}/{name}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _cgroup_error(f'cannot {purpose} with "{value}"', path, error) from error


def read(folder: str, name: str) -> str:
    """Return a control file's text.

    Raises
    ------
    OSError
        With the kernel's errno.
    """
    with open(f"{folder}/{name}", encoding="ascii") as file:
        return file.read()


def read_counter(folder: str, name: str, key: str) -> int:
    """Return a number from a file of lines ``key number``; 0 without the file or the key."""
    try:
        text = read(folder, name)
    except FileNotFoundError:
        return 0
    for line in text.splitlines():
        word, _, number = line.partition(" ")
        if word == key:
            return int(number)
    return 0


def processes(folder: str) -> list[int]:
    """Return the processes in a folder and in those below; none when it does not exist."""
    found: list[int] = []
    for each in _folders(folder):
        try:
            found += map(int, read(each, "cgroup.procs").split())
        except OSError as error:
            # ENODEV: removed between the listing and the reading. EOPNOTSUPP: a threaded cgroup of
            # v2, whose processes are listed further up.
            if error.errno not in {errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP}:
                raise
    return found


def kill_all(folder: str) -> None:
    """Kill every process in a folder and below, until none is left.

    A process with a pending SIGKILL cannot fork any more, so each round leaves fewer parents.

    Raises
    ------
    CgroupError
        EBUSY when some are left after two seconds, because they sleep uninterruptibly.
    """
    for _ in range(_ATTEMPTS):
        remaining = processes(folder)
        if not remaining:
            return
        for pid in remaining:
            # A pid of 0 is a process in a pid namespace that this one does not see: not ours.
            if pid:
                _kill(pid)
        _pause()
    busy = OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    raise _cgroup_error(f"cannot kill the processes {remaining} of the cgroup", folder, busy)


def remove(folder: str) -> None:
    """Remove a folder and those below it, deepest first; gone already is fine.

    Raises
    ------
    CgroupError
        EBUSY when a process is still in it after two seconds.
    """
    for each in reversed(_folders(folder)):
        _remove_one(each)


def wait_for(is_done: "Callable[[], bool]", what: str, folder: str) -> None:
    """Wait until something is so that the kernel brings about by itself.

    Raises
    ------
    CgroupError
        EBUSY when it is not so within two seconds.
    """
    for _ in range(_ATTEMPTS):
        if is_done():
            return
        _pause()
    busy = OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    raise _cgroup_error(f"cannot {what} the processes of the cgroup", folder, busy)


def _remove_one(folder: str) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or attempt == _ATTEMPTS - 1:
                raise _cgroup_error("cannot remove the cgroup", folder, error) from error
            _pause()
        else:
            return


def _folders(folder: str) -> list[str]:
    """Return a folder and all below it, parents first."""
    found = [folder]
    for each in found:
        try:
            with os.scandir(each) as entries:
                found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _pause() -> None:
    # The signal that is waited for cannot be delivered to anybody: this is a sleep, without the
    # import of another module into a process that has few.
    signal.sigtimedwait([], _PAUSE_MS / 1000)


def _cgroup_error(what: str, path: str, error: OSError) -> CgroupError:
    return CgroupError(error.errno, f"{what}: {error.strerror}", path)
