"""The running side of a container, seen from the daemon: a connection to its monitor.

The monitor (`runtime.monitor`) owns the process, its streams, its log and its exit record; this end
only sends it messages and turns what it says into futures and callbacks. When the daemon dies the
monitor goes on; `recovery` makes a new task on the monitor's socket.
"""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerlab.errors import CommandNotExecutable, CommandNotFound, Conflict, StartFailure
from dockerlab.runtime.protocol import MAX_MESSAGE_BYTES, classify_failure

__all__ = ["ExitRecord", "Task", "exit_from_file", "start_failure"]

Message = dict[str, Any]

# What Docker shows for a container whose end nobody saw.
_UNKNOWN_EXIT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord:
    """The process ended. `exit_code` is 128 + n for signal n; `finished_ns` is wall clock."""

    exit_code: int
    oom_killed: bool
    finished_ns: int
    monotonic_s: float


def exit_from_file(path: Path) -> ExitRecord | None:
    """Read the record that a monitor leaves behind; None when there is none."""
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return _exit_record(record)


def start_failure(message: Message, argv0: str) -> StartFailure:
    """Turn the monitor's ``failed`` message into an error whose kind gives the exit code."""
    step, errno, text = str(message["step"]), int(message["errno"]), str(message["message"])
    kind = {126: CommandNotExecutable, 127: CommandNotFound}.get(
        classify_failure(step, errno), StartFailure
    )
    if kind is StartFailure:
        return StartFailure(text, step=step, errno=errno)
    # Clients read these words to choose between 126 and 127.
    reason = os.strerror(errno).lower()
    what = f'exec: "{argv0}": ' if step == "exec" else ""
    known = (
        "executable file not found in $PATH" if "/" not in argv0 else "no such file or directory"
    )
    reason = known if kind is CommandNotFound and step == "exec" else reason
    return kind(
        f"failed to create task for container: {what}stat {argv0}: {reason}"
        if "/" in argv0
        else f"failed to create task for container: {what}{reason}",
        step=step,
        errno=errno,
    )


class Task:
    """One monitor's connection.

    Parameters
    ----------
    connection : socket
        SEQPACKET, connected to the monitor; owned by the task.
    exit_file : Path
        Where the monitor leaves its exit record.
    on_output : callable
        Called with the monotonic time of the first byte of output.

    Attributes
    ----------
    started : Future of dict
        The monitor's ``started`` or ``failed`` message.
    exited : Future of ExitRecord
        Always gets a result, also when the monitor was killed.
    gone : Event
        The monitor has given back the mounts, the cgroup and its folder.
    on_detach : callable
        Called when an attached client went away by its detach keys.
    """

    def __init__(
        self,
        connection: socket.socket,
        exit_file: Path,
        on_output: Callable[[float], None] = lambda _: None,
    ) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)  # noqa: FBT003
        self._connection = connection
        self._exit_file = exit_file
        self._on_output = on_output
        self._pidfd = -1
        self.pid = 0
        self.started: asyncio.Future[Message] = loop.create_future()
        self.exited: asyncio.Future[ExitRecord] = loop.create_future()
        self.state: asyncio.Future[Message] = loop.create_future()
        self.gone = asyncio.Event()
        # What the monitor says of its own accord: "oom", "thawed".
        self.on_notice: Callable[[Message], None] = _ignore
        self.on_detach: Callable[[], None] = _nothing
        self.exec_messages: dict[str, Callable[[Message], None]] = {}
        self._shares: list[asyncio.Future[int]] = []
        loop.add_reader(connection, self._readable)

    @property
    def earlier(self) -> Message | None:
        """The monitor's ``state`` message; None for a task that this engine has started itself."""
        return self.state.result() if self.state.done() and not self.state.cancelled() else None

    @property
    def pidfd(self) -> int:
        """The descriptor of its first process, which the task owns; -1 when there is none."""
        return self._pidfd

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message with descriptors.

        Raises
        ------
        Conflict
            The container has just ended.
        """
        try:
            socket.send_fds(self._connection, [json.dumps(message).encode()], list(fds))
        except OSError as exc:
            raise Conflict("the container is not running") from exc

    async def share(self) -> int:
        """Return a pidfd of the container's first process, from its parent; the caller closes.

        Raises
        ------
        Conflict
            The container has ended.
        """
        share: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._shares.append(share)
        self.send({"type": "share"})
        return await share

    def close(self) -> None:
        """Let go of the monitor, which goes on."""
        if self._connection.fileno() != -1:
            asyncio.get_running_loop().remove_reader(self._connection)
            self._connection.close()
        if self._pidfd != -1:
            os.close(self._pidfd)
            self._pidfd = -1

    def _readable(self) -> None:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(
                    self._connection, MAX_MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._lost()
                return
            message = json.loads(data)
            if message["type"] == "shared":
                self._heard_share(fds)
            else:
                self._handle(message)

    def _handle(self, message: Message) -> None:
        handle = {
            "started": self._heard_start,
            "failed": self._heard_start,
            "state": self._heard_state,
            "exited": self._heard_exit,
            "output": self._heard_output,
            "oom": self.on_notice,
            "thawed": self.on_notice,
            "detached": self._heard_detach,
        }.get(message["type"])
        on_exec = self.exec_messages.get(str(message.get("exec_id")))
        if on_exec is not None:
            on_exec(message)
        elif handle is not None and "exec_id" not in message:
            handle(message)

    def _heard_start(self, message: Message) -> None:
        if message["type"] == "started":
            self._watch(int(message["pid"]))
        if not self.started.done():
            self.started.set_result(message)

    def _heard_state(self, message: Message) -> None:
        if message["pid"] and message["exit_code"] is None:
            self._watch(int(message["pid"]))
        if not self.state.done():
            self.state.set_result(message)

    def _heard_exit(self, message: Message) -> None:
        if not self.exited.done():
            self.exited.set_result(_exit_record(message))

    def _heard_output(self, message: Message) -> None:
        self._on_output(float(message["monotonic_s"]))

    def _heard_share(self, fds: list[int]) -> None:
        share = self._shares.pop(0)
        if share.done():  # Who asked has gone.
            for fd in fds:
                os.close(fd)
        elif fds:
            share.set_result(fds[0])
        else:
            share.set_exception(Conflict("the container is not running"))

    def _heard_detach(self, _message: Message) -> None:
        self.on_detach()

    def _watch(self, pid: int) -> None:
        self.pid = pid
        # A number may be given to another process; a descriptor cannot (pidfd_open(2)).
        with suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(pid)

    def _lost(self) -> None:
        """Settle what is open when the monitor is gone without having said the end."""
        record = exit_from_file(self._exit_file)
        if record is None and self._pidfd != -1:
            # Without its monitor nobody reads its output or will see its end.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if not self.started.done():
            self.started.set_result(
                {"type": "failed", "step": "monitor", "errno": 0, "path": "",
                 "message": "the monitor ended before the container started"}
            )  # fmt: skip
        if not self.state.done():
            self.state.cancel()
        if not self.exited.done():
            self.exited.set_result(record or _unknown_exit())
        for share in self._shares:
            if not share.done():
                share.set_exception(Conflict("the container is not running"))
        self.gone.set()
        self.close()


def _ignore(_message: Message) -> None:
    """Take no notice."""


def _nothing() -> None:
    """Do nothing."""


def _exit_record(message: Message) -> ExitRecord:
    return ExitRecord(
        exit_code=int(message["exit_code"]),
        oom_killed=bool(message["oom_killed"]),
        finished_ns=int(message["finished_ns"]),
        monotonic_s=float(message["monotonic_s"]),
    )


def _unknown_exit() -> ExitRecord:
    return ExitRecord(
        exit_code=_UNKNOWN_EXIT,
        oom_killed=False,
        finished_ns=time.time_ns(),
        monotonic_s=time.monotonic(),
    )
