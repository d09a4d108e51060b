"""Hears when a container hits its memory limit and the kernel kills a process of it.

That need not be its first process, so its end says nothing of it; Docker tells such an event too.
"""

from __future__ import annotations

import os

from dockerlab.runtime.loop import READABLE, URGENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dockerlab.runtime.cgroups.tree import CgroupTree
    from dockerlab.runtime.loop import Loop

__all__ = ["OomWatch"]

_BYTES = 4096


class OomWatch:
    """Watches the memory cgroup of one container, from `start` on.

    Parameters
    ----------
    tell : callable
        Called once for one or several kills.

    Attributes
    ----------
    has_seen : bool
        It was called.
    """

    def __init__(self, loop: Loop, tell: Callable[[], None]) -> None:
        self._loop = loop
        self._tell = tell
        self._fd = -1
        self._kills = 0
        self.has_seen = False

    def start(self, tree: CgroupTree, path: str) -> None:
        """Begin, unless it has begun; nothing happens where memory is not counted."""
        if self._fd >= 0:
            return
        self._fd = tree.watch_oom(path)
        if self._fd < 0:
            return
        if tree.version == 1:
            self._loop.watch(self._fd, READABLE, lambda _: self._heard_v1(tree, path))
        else:
            # The kernel tells what is newer than what was read last.
            os.pread(self._fd, _BYTES, 0)
            self._kills = tree.oom_kills(path)
            self._loop.watch(self._fd, URGENT, lambda _: self._heard_v2(tree, path))

    def _heard_v1(self, tree: CgroupTree, path: str) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        # It is signalled a last time when the folder is removed.
        if tree.folder(path, "memory"):
            self._saw()

    def _heard_v2(self, tree: CgroupTree, path: str) -> None:
        try:
            os.pread(self._fd, _BYTES, 0)
        except OSError:
            self._loop.forget(self._fd)  # ENODEV: the folder is gone.
            return
        kills = tree.oom_kills(path)
        if kills > self._kills:
            self._kills = kills
            self._saw()

    def _saw(self) -> None:
        self.has_seen = True
        self._tell()
