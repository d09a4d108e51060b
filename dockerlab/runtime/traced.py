"""How programs are launched where no namespace can be made: under PRoot, in a folder as root.

PRoot translates the paths of a program's system calls (ptrace(2)). That is a view and no border:
the program is the engine's user, sees that user's processes and uses the host's network. What is
promised is only that it finds the image's files, and that the engine follows none of their links.

The order of reading: `Traced`, for the monitor; `prootstart`, in the forked process; `starter`,
which PRoot runs; `_TracedProcess`, what the monitor sees of all that.
"""

from __future__ import annotations

import os
import signal
import socket

from dockerlab.runtime import protocol, starter
from dockerlab.runtime.init import USER_ANNOTATION
from dockerlab.runtime.prootstart import Folders, ProotStart
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.subreaper import Subreaper
from dockerlab.runtime.supervised import Supervised, fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerlab.oci.runtimespec import Process, Spec
    from dockerlab.runtime.loop import Loop
    from dockerlab.runtime.namespaced import Additional
    from dockerlab.runtime.stdio import Stdio
    from dockerlab.runtime.supervised import Observer

__all__ = ["Traced"]


class Traced:
    """Launches under PRoot.

    Parameters
    ----------
    args : dict
        The monitor's; ``proot`` is PRoot's path.
    spec : Spec
        Of its mounts those of type ``bind`` are made.
    """

    def __init__(self, loop: Loop, args: dict[str, Any], spec: Spec) -> None:
        self._loop = loop
        self._proot = args["proot"]
        self._spec = spec
        self._folders = Folders(
            root=os.path.join(args["bundle"], spec["root"]["path"]),
            scratch=os.path.join(args["bundle"], "work"),
            starter=os.path.join(args["bundle"], "starter"),
            binds=[mount for mount in spec["mounts"] if mount["type"] == "bind"],
        )
        self._starting: list[_TracedProcess] = []
        self._tracers: set[int] = set()
        self._reaper = Subreaper(loop, self._hear_all)

    def launch_first(self, stdio: Stdio, streams: list[int], observer: Observer) -> Supervised:
        """Fork PRoot for the container's first process, with whose end all others end."""
        with Step("bundle", self._folders.starter):
            _write_starter(self._folders.starter)
        user = self._spec.get("annotations", {}).get(USER_ANNOTATION)
        first = self._fork(self._spec["process"], user, streams, stdio, observer)
        first.on_end = lambda: self._reaper.end_all(self._tracers)
        return first

    def launch_additional(
        self, request: Additional, stdio: Stdio, observer: Observer
    ) -> Supervised:
        """Fork one more PRoot, on the same folder."""
        return self._fork(request.process, request.user, request.streams, stdio, observer)

    def started(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """End what is left of the container, and PRoot last: it ends with those that it traces."""
        self._reaper.end_all(self._tracers)
        self._reaper.end_all(set())
        self._reaper.reap()

    def _fork(
        self,
        process: Process,
        user: str | None,
        streams: list[int],
        stdio: Stdio,
        observer: Observer,
    ) -> _TracedProcess:
        sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        start = ProotStart(
            sync=theirs,
            proot=self._proot,
            folders=self._folders,
            process=process,
            user=user,
            streams=streams,
        )
        pid = fork(start.run)
        theirs.close()
        traced = _TracedProcess(self._loop, pid, sync, stdio, observer)
        traced.name = process["args"][0] if process["args"] else ""
        traced.on_found, traced.on_end = self._found, _nothing
        self._tracers.add(pid)
        self._starting.append(traced)
        self._reaper.watch(pid, lambda status: self._tracer_ended(pid, traced, status))
        return traced

    def _found(self, traced: _TracedProcess) -> None:
        self._starting.remove(traced)
        self._reaper.watch(traced.pid, traced.program_ended)

    def _tracer_ended(self, pid: int, traced: _TracedProcess, status: int) -> None:
        self._tracers.discard(pid)
        if traced in self._starting:
            self._starting.remove(traced)
        traced.tracer_ended(status)

    def _hear_all(self) -> None:
        for traced in list(self._starting):
            traced.hear_now()


class _TracedProcess(Supervised):
    """A program under PRoot, which is its tracer and not its parent.

    Its `pid` is PRoot's at first, and with the starter's report the program's.
    """

    name = ""
    is_found = False
    # Told that the pid is now the program's.
    on_found: Callable[[_TracedProcess], None]
    # Told that the program has ended, before its output is read to the end.
    on_end: Callable[[], None]

    def hear_now(self) -> None:
        """Read what was said until now."""
        while not self.is_found and self._sync.fileno() >= 0:
            try:
                message, fds = protocol.receive(self._sync)
            except BlockingIOError:
                return
            if message is None:
                return  # It has ended, which the reaper will tell.
            self._hear(message, fds)

    def tracer_ended(self, status: int) -> None:
        """Note the end of PRoot; a program that is left would be on the host's files."""
        if self.is_found:
            self.kill(signal.SIGKILL)
            return
        self._close_sync()
        if self._failure is None:
            code = os.waitstatus_to_exitcode(status)
            text = f"PRoot ended with {code} before the program started; its output says why"
            self._failure = StepFailure("proot", 0, "", text)
        self._finish(status)

    def program_ended(self, status: int) -> None:
        """Note the end of the program."""
        self.on_end()
        self._finish(status)

    def _watch_end(self) -> None:
        """Do nothing: the reaper tells it."""

    def _read_sync(self) -> None:
        self.hear_now()

    def _hear(self, message: protocol.Message, fds: list[int]) -> None:
        if message["type"] != "program":
            super()._hear(message, fds)
            return
        self._close_sync()
        self.is_found = True
        self.pid = int(message["pid"])
        self.on_found(self)
        if number := int(message["errno"]):
            text = f'exec "{self.name}": {os.strerror(number)}'
            self._failure = StepFailure("exec", number, self.name, text)
        else:
            self._observer.on_started()

    def _close_sync(self) -> None:
        self._loop.forget(self._sync.fileno())
        self._sync.close()
        self._pidfd.close()


def _nothing() -> None:
    """Do nothing: with the end of an exec nobody else ends."""


def _write_starter(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o700)
    try:
        os.write(fd, starter.starter_elf(os.uname().machine))
    finally:
        os.close(fd)
