"""One forked process under a monitor: until execve, while it runs, until its end.

The same for a container's first process and for an exec. What the events mean is the monitor's
business; here they are only seen.
"""

from __future__ import annotations

import os
import time

from dockerlab.kernel import fds as kernel_fds
from dockerlab.runtime import protocol
from dockerlab.runtime.loop import READABLE
from dockerlab.runtime.protocol import StepFailure
from dockerlab.runtime.zygote import run_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Protocol

    from dockerlab.runtime.loop import Loop
    from dockerlab.runtime.stdio import Stdio

    class Observer(Protocol):
        """Whom a process tells what happens to it."""

        def on_mounted(self, fds: list[int]) -> None:
            """Take the descriptors, for its root is ready; the observer owns them."""

        def on_started(self) -> None:
            """Note that the program was executed."""

        def on_failed(self, failure: StepFailure) -> None:
            """Note that a step failed; the process is gone."""

        def on_exited(self, exit_code: int) -> None:
            """Note that the program has ended, and that its output is read to the end."""


__all__ = ["Pipes", "Supervised", "fork"]

# How long output may still come when the process has ended but a grandchild holds its pipes.
# Docker waits as long for the streams of an exec.
_DRAIN_S = 2.0


class Pipes:
    """Both ends of a process's pipes.

    Attributes
    ----------
    theirs : list of int
        For 0, 1 and 2 in the process; -1 is /dev/null.
    stdin : int
        Our end of its input, -1 without one.
    sources : dict of int to int
        Our ends of its output -> stream number.
    """

    def __init__(self, *, has_input: bool) -> None:
        theirs_in, self.stdin = os.pipe2(os.O_CLOEXEC) if has_input else (-1, -1)
        out, theirs_out = os.pipe2(os.O_CLOEXEC)
        err, theirs_err = os.pipe2(os.O_CLOEXEC)
        self.theirs = [theirs_in, theirs_out, theirs_err]
        self.sources = {out: 1, err: 2}

    def close_theirs(self) -> None:
        """Close the process's ends, for only then our reading ends with the process."""
        for fd in self.theirs:
            if fd >= 0:
                os.close(fd)


def fork(body: Callable[[], None]) -> int:
    """Fork a child whose whole life is `body`; return its pid."""
    pid = os.fork()
    if pid == 0:
        run_child(body)
    return pid


class Supervised:
    """A process from its fork to its end.

    Parameters
    ----------
    sync : socket
        Our end of the socket on which it says how far it is; closed here.
    observer : Observer

    Attributes
    ----------
    tty_size : list of int or None
        Rows and columns of the terminal that it may bring.
    """

    def __init__(
        self, loop: Loop, pid: int, sync: socket.socket, stdio: Stdio, observer: Observer
    ) -> None:
        self._loop = loop
        self.pid = pid
        self.stdio = stdio
        # It never blocks: should anybody else hold the other end, we must not wait for that.
        sync.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._sync = sync
        self._observer = observer
        self.tty_size: list[int] | None = None
        self._pidfd = kernel_fds.OwnedFd(os.pidfd_open(pid))
        self._is_executing = False
        self._failure: StepFailure | None = None
        self.exit_code: int | None = None
        self.finished_ns = 0
        self.finished_s = 0.0
        loop.watch(sync.fileno(), READABLE, lambda _: self._read_sync())
        self._watch_end()

    @property
    def pidfd(self) -> int:
        """Return its pidfd, -1 when it has ended; see pidfd_open(2)."""
        return self._pidfd.fileno()

    @property
    def is_running(self) -> bool:
        """Tell whether the program was executed and has not ended."""
        return self._sync.fileno() < 0 and self._failure is None and self.exit_code is None

    def kill(self, number: int) -> None:
        """Send a signal, unless it has ended: its number may be somebody else's then."""
        if self.exit_code is None:
            os.kill(self.pid, number)

    def _watch_end(self) -> None:
        self._loop.watch(self._pidfd.fileno(), READABLE, lambda _: self._ended())

    def _read_sync(self) -> None:
        try:
            message, fds = protocol.receive(self._sync)
        except OSError:
            message, fds = None, []
        if message is None:
            self._sync_ended()
        else:
            self._hear(message, fds)

    def _hear(self, message: protocol.Message, fds: list[int]) -> None:
        if message["type"] == "mounted":
            self._observer.on_mounted(fds)
        elif message["type"] == "terminal":
            self.stdio.connect_terminal(fds[0], self.tty_size)
        elif message["type"] == "executing":
            self._is_executing = True
        elif message["type"] == "failed":
            self._failure = StepFailure.from_message(message)

    def _sync_ended(self) -> None:
        """execve(2) has closed the other end, or the process has died before."""
        self._loop.forget(self._sync.fileno())
        self._sync.close()
        if self._failure is None and not self._is_executing:
            self._failure = StepFailure("internal", 0, "", "the process ended during the start")
        if self._failure is None:
            self._observer.on_started()

    def _ended(self) -> None:
        while self._sync.fileno() >= 0:
            # What it said before its end, in the order in which it happened.
            self._read_sync()
        self._loop.forget(self._pidfd.fileno())
        self._pidfd.close()
        _, status = os.waitpid(self.pid, 0)
        self._finish(status)

    def _finish(self, status: int) -> None:
        self.exit_code = _exit_code(status)
        self.finished_ns = time.time_ns()
        self.finished_s = time.monotonic()
        self.stdio.finish(_DRAIN_S, self._drained)

    def _drained(self) -> None:
        if self._failure is not None:
            self._observer.on_failed(self._failure)
        elif self.exit_code is not None:
            self._observer.on_exited(self.exit_code)


def _exit_code(status: int) -> int:
    """Return the exit code as a shell and Docker have it: 128 + n for signal n."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
