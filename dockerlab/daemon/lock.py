"""One daemon a data root: the lock that is held for a daemon's whole life."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockerlab.errors import Conflict

__all__ = ["hold_lock"]


@contextmanager
def hold_lock(data_root: Path) -> Iterator[None]:
    """Hold ``<data root>/lock`` while the block runs; the data root is made if need be.

    The kernel gives the lock back when the process ends, however it ends (flock(2)). The descriptor
    is closed on exec and nobody is forked while it is held but the zygote, which is executed.

    Raises
    ------
    Conflict
        Another daemon holds it; the message names its process.
    OSError
        The folder or the file cannot be made.
    """
    data_root.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_root / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            owner = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise Conflict(
                f'an engine is already running on "{data_root}" (pid {owner})',
                hint='use it, stop it with "dockerlab engine stop", or choose another --root',
            ) from exc
        # The number is for people and for the message above; the lock alone decides.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
