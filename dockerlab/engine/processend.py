"""The end of a process that is not ours to wait for, told to the loop. pidfd_open(2)."""

import asyncio
import os
from collections.abc import Callable

from dockerlab.kernel.fds import OwnedFd

__all__ = ["ProcessEnd"]


class ProcessEnd:
    """Calls back once when a process ends, at once if it has.

    Parameters
    ----------
    pid : int
        Its number, which must still be its own.
    """

    def __init__(self, pid: int, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        try:
            self._pidfd = OwnedFd(os.pidfd_open(pid))
        except ProcessLookupError:
            self._pidfd = OwnedFd(-1)
            self._loop.call_soon(ended)
            return
        self._loop.add_reader(self._pidfd.number, self._tell)

    def _tell(self) -> None:
        self.close()
        self._ended()

    def close(self) -> None:
        """Stop looking."""
        if self._pidfd.number >= 0:
            self._loop.remove_reader(self._pidfd.number)
            self._pidfd.close()
