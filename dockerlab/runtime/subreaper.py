"""What a monitor is without a pid namespace: the parent of every orphan, and who ends them all.

A subreaper gets the children whose parents have ended (prctl(2)); nobody else would wait for them,
and by them it finds what is left of its container. Import-light.
"""

from __future__ import annotations

import os
import signal
import time

from dockerlab.kernel import privileges
from dockerlab.runtime.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dockerlab.runtime.loop import Loop

    Ended = Callable[[int], None]

__all__ = ["Subreaper"]

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PATIENCE_S = 2.0
_PAUSE_S = 0.001


class Subreaper:
    """Waits for all children of this process.

    Parameters
    ----------
    before_each : callable
        Called between the end of a child and the wait for it: the last moment to learn who it is.
    """

    def __init__(self, loop: Loop, before_each: Callable[[], None]) -> None:
        self._before_each = before_each
        self._watched: dict[int, Ended] = {}
        privileges.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._pipe, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing)
        signal.signal(signal.SIGCHLD, _note)
        loop.watch(self._pipe, READABLE, lambda _: self._woken())

    def watch(self, pid: int, on_end: Ended) -> None:
        """Call `on_end` with the wait status of a child, once."""
        self._watched[pid] = on_end

    def reap(self) -> None:
        """Wait for every child that has ended."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            self._before_each()
            _, status = os.waitpid(ended.si_pid, 0)
            on_end = self._watched.pop(ended.si_pid, None)
            if on_end is not None:
                on_end(status)

    def end_all(self, tracers: set[int]) -> None:
        """Kill whatever descends from this process, and wait until it has ended.

        Parameters
        ----------
        tracers : set of int
            To be left alone: they end with the last that they trace.
        """
        deadline_s = time.monotonic() + _PATIENCE_S
        while living := [pid for pid in _descendants(os.getpid()) if pid not in tracers]:
            for pid in living:
                _kill(pid)
            if time.monotonic() > deadline_s:
                return  # Stuck in the kernel, perhaps: it dies as soon as it can.
            time.sleep(_PAUSE_S)

    def _woken(self) -> None:
        try:
            os.read(self._pipe, 4096)
        except BlockingIOError:
            return
        self.reap()


def _note(_number: int, _frame: object) -> None:
    """Do nothing: the wakeup descriptor does it."""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _descendants(top: int) -> Iterator[int]:
    """Yield all that live, parents first; proc_pid_task(5), "children"."""
    waiting = [top]
    while waiting:
        for pid in _children(waiting.pop()):
            waiting.append(pid)
            if _lives(pid):
                yield pid


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        return found
    return found


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False
