"""Network namespaces as descriptors: made without a name, entered by one thread for a moment.

A namespace lives as long as a process or a descriptor holds it, so one without a name is never left
behind. A socket stays in the namespace that it was made in; network_namespaces(7), setns(2).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dockerlab.kernel import constants, syscalls
from dockerlab.kernel.fds import OwnedFd

__all__ = ["inside", "make", "own"]

_OWN = "/proc/thread-self/ns/net"


def own() -> OwnedFd:
    """Return the namespace of the calling thread."""
    return OwnedFd(os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC))


def make() -> OwnedFd:
    """Return a new namespace; the calling thread stays where it is."""
    with own() as home:
        syscalls.unshare(constants.CLONE_NEWNET)
        try:
            return own()
        finally:
            syscalls.setns(home, constants.CLONE_NEWNET)


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Have the calling thread, and no other, in a namespace while the block runs.

    Nothing in the block may wait for another thread to do something in this one's place.
    """
    with own() as home:
        syscalls.setns(namespace, constants.CLONE_NEWNET)
        try:
            yield
        finally:
            syscalls.setns(home, constants.CLONE_NEWNET)
