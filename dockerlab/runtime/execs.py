"""The additional processes of one container, under its monitor (docker exec).

What such a process does until execve is the launcher's business: `runtime.namespaced`.
"""

from __future__ import annotations

import os
import signal

from dockerlab.runtime.exitrecord import write_whole
from dockerlab.runtime.namespaced import Additional
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.stdio import Stdio
from dockerlab.runtime.supervised import Pipes, Supervised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerlab.oci.runtimespec import Process
    from dockerlab.runtime.loop import Loop
    from dockerlab.runtime.namespaced import Launcher

    Tell = Callable[[dict[str, Any]], None]

__all__ = ["Execs"]


class Execs:
    """All execs of a container.

    Parameters
    ----------
    tell : callable
        Sends a message to everybody who is connected to the monitor.

    Attributes
    ----------
    launcher : Launcher or None
        The container's, to be set before an exec is started.
    """

    def __init__(self, loop: Loop, tell: Tell) -> None:
        self._loop = loop
        self._tell = tell
        self.launcher: Launcher | None = None
        self._running: dict[str, Supervised] = {}
        self.streams: list[Stdio] = []

    def start(self, message: dict[str, Any], fds: list[int], init: Supervised) -> None:
        """Start the process that the message ``exec`` describes; it owns the descriptors."""
        exec_id = message["exec_id"]
        observer = _Observer(self, exec_id, message)
        try:
            with Step("fork"):
                self._running[exec_id] = self._fork(message, fds, init, observer)
            if message.get("timeout_s"):
                self._loop.call_later(message["timeout_s"], observer.expire)
        except StepFailure as failure:
            for fd in fds:
                os.close(fd)
            observer.on_failed(failure)

    def resize(self, exec_id: str, rows: int, columns: int) -> None:
        """Tell an exec's terminal its size; nothing happens when it has ended."""
        if exec_id in self._running:
            self._running[exec_id].stdio.resize(rows, columns)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of those that run, by the execs' ids."""
        return {exec_id: each.pid for exec_id, each in self._running.items()}

    def kill(self, exec_id: str) -> None:
        """End an exec with what it started in its process group, which is its own."""
        running = self._running.get(exec_id)
        if running is not None and running.exit_code is None:
            try:
                os.killpg(running.pid, signal.SIGKILL)
            except ProcessLookupError:
                running.kill(signal.SIGKILL)  # It has not come as far as its setsid(2).

    def detached(self, exec_id: str) -> None:
        """Tell that a client went away by its keys."""
        self._tell({"type": "detached", "exec_id": exec_id})

    def started(self, exec_id: str) -> None:
        """Tell that the program runs."""
        pid = self._running[exec_id].pid
        self._tell({"type": "exec_started", "exec_id": exec_id, "pid": pid})

    def cancel(self, expire: Callable[[], None]) -> None:
        """Forget a time limit."""
        self._loop.cancel(expire)

    def let_go(self, exec_id: str) -> None:
        """Leave its clients to the engine."""
        if exec_id in self._running:
            self._running[exec_id].stdio.let_go()

    def ended(self, exec_id: str, message: dict[str, Any]) -> None:
        """Tell the end, and forget all but the clients that have not read everything."""
        self._running.pop(exec_id, None)
        self.streams = [stdio for stdio in self.streams if stdio.has_clients]
        self._tell({**message, "exec_id": exec_id})

    def _fork(
        self, message: dict[str, Any], fds: list[int], init: Supervised, observer: _Observer
    ) -> Supervised:
        if not init.is_running or self.launcher is None:
            raise StepFailure("fork", 0, "", "the container is not running")
        terminal = bool(message["terminal"])
        process: Process = message["process"]
        process["terminal"] = terminal
        pipes = None if terminal else Pipes(has_input=message.get("open_stdin", False))
        streams = pipes.theirs if pipes else [-1, -1, -1]
        stdio = Stdio(self._loop, ends_with_client=not terminal, log=None, on_first_byte=None)
        request = Additional(process, message.get("user"), streams, init)
        supervised = self.launcher.launch_additional(request, stdio, observer)
        supervised.tty_size = message.get("tty_size")
        stdio.on_detach = observer.on_detach
        self.streams.append(stdio)
        for attachment in message["attachments"]:
            stdio.attach(fds.pop(0), attachment)
        if pipes:
            pipes.close_theirs()
            stdio.connect_pipes(pipes.stdin, pipes.sources)
        return supervised


class _Observer:
    """Hands the events of one process to the keeper of all."""

    def __init__(self, execs: Execs, exec_id: str, message: dict[str, Any]) -> None:
        self._execs = execs
        self._exec_id = exec_id
        self._exit_file: str = message.get("exit_file", "")
        self._is_timed_out = False

    def _write_record(self, exit_code: int) -> None:
        try:
            # For the next daemon: it need not survive a power cut, which the exec does not either.
            os.close(write_whole(self._exit_file, {"exit_code": exit_code}))
        except OSError as error:
            line = f"the exit record of exec {self._exec_id} is not written: {error.strerror}\n"
            os.write(2, line.encode())

    def expire(self) -> None:
        """End it: its time is up."""
        self._is_timed_out = True
        self._execs.kill(self._exec_id)

    def on_detach(self) -> None:
        """Tell that a client went away by its keys."""
        self._execs.detached(self._exec_id)

    def on_mounted(self, fds: list[int]) -> None:
        """Close the descriptors: an exec mounts nothing."""
        for fd in fds:
            os.close(fd)

    def on_started(self) -> None:
        """Tell it."""
        self._execs.started(self._exec_id)

    def on_failed(self, failure: StepFailure) -> None:
        """Tell it as the exec's failure; the engine has a copy of the connection for the reason."""
        self._execs.let_go(self._exec_id)
        self._execs.ended(self._exec_id, {**failure.to_message(), "type": "exec_failed"})

    def on_exited(self, exit_code: int) -> None:
        """Record it where that is wanted, and tell it."""
        if self._exit_file:
            self._write_record(exit_code)
        self._execs.cancel(self.expire)
        end = {"exit_code": exit_code, "is_timed_out": self._is_timed_out}
        self._execs.ended(self._exec_id, {"type": "exec_exited", **end})
