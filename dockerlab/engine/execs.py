"""The keeper of execs: one more process in a running container, forked by its monitor.

What was started is noted in the container's folder, and its monitor notes there how it ended; so an
exec is known by the next daemon too.
"""

import asyncio
import secrets
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from dockerlab.engine.attach import describe
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.container import Container, ContainerId
from dockerlab.engine.containers import Containers
from dockerlab.engine.events import Events
from dockerlab.engine.exec import Exec, ExecConfig
from dockerlab.engine.execnotes import ExecNotes
from dockerlab.engine.pausing import check_not_paused
from dockerlab.engine.specs import exec_process
from dockerlab.engine.start import Starter
from dockerlab.engine.task import Message, Task, start_failure
from dockerlab.errors import Conflict, ExecNotFound, InvalidArgument

__all__ = ["Execs", "Outcome"]

# What is remembered of a container's execs that have ended.
_KEPT = 128
# Their container's end is a SIGKILL to them.
_KILLED = 137


class Outcome(NamedTuple):
    """How a program that was run to its end has ended, and the beginning of its output."""

    exit_code: int
    output: bytes
    is_cut: bool = False
    is_timed_out: bool = False


class Execs:
    """All exec instances; those of a removed container are forgotten. A `LifeObserver`."""

    def __init__(
        self, containers: Containers, events: Events, starter: Starter, notes: ExecNotes
    ) -> None:
        self._starter = starter
        self._containers = containers
        self._events = events
        self._notes = notes
        self._execs: dict[str, Exec] = {}
        self._ends: dict[str, asyncio.Future[tuple[int, bool]]] = {}

    def create(self, name: str, config: ExecConfig) -> str:
        """Return the id of a new exec in a running container.

        Raises
        ------
        Conflict
            The container does not run.
        InvalidArgument
            No command.
        """
        container = self._containers.get(name)
        self._containers.task(container.id)
        check_not_paused(container, name, "exec")
        if not config.argv:
            raise InvalidArgument("No exec command specified")
        self._starter.launching.check_exec(config)
        self._forget_oldest(container.id)
        exec_id = secrets.token_hex(32)
        self._execs[exec_id] = Exec(id=exec_id, container_id=container.id, config=config)
        self._tell(container, "exec_create", exec_id, config)
        return exec_id

    def get(self, exec_id: str) -> Exec:
        """Return the exec, or raise ExecNotFound."""
        if exec_id not in self._execs:
            raise ExecNotFound(exec_id)
        return self._execs[exec_id]

    def of_container(self, container_id: ContainerId) -> list[str]:
        """Return the ids of a container's execs that have not ended."""
        return [e.id for e in self._of(container_id) if e.exit_code is None]

    async def start(
        self, exec_id: str, request: AttachRequest | None, connection: socket.socket | None
    ) -> None:
        """Start the process, joined to `connection` or detached; returns when it runs.

        The monitor has its own descriptor of the connection, ours is closed in every case.
        """
        instance = self.get(exec_id)
        if instance.is_running or instance.exit_code is not None:
            raise Conflict(f"exec {exec_id} has already been started")
        container = self._containers.get(instance.container_id)
        check_not_paused(container, container.id, "exec")
        self._notes.save(instance)
        extra = {"exit_file": str(self._notes.exit_file(instance))}
        await self._start(instance, request, connection, extra)

    async def run(
        self, name: str, config: ExecConfig, *, timeout_s: float, limit_bytes: int
    ) -> Outcome:
        """Run a program in a container to its end, and forget it.

        Parameters
        ----------
        timeout_s : float
            Then its monitor kills it, whatever has become of this engine.
        limit_bytes : int
            How much of its output is kept.

        Raises
        ------
        DockerlabError
            It cannot be started.
        """
        exec_id = self.create(name, config)
        end: asyncio.Future[tuple[int, bool]] = asyncio.get_running_loop().create_future()
        self._ends[exec_id] = end
        ours, theirs = socket.socketpair()
        request = AttachRequest(stdout=True, stderr=True, is_multiplexed=False)
        try:
            with ours:
                ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
                await self._start(self.get(exec_id), request, theirs, {"timeout_s": timeout_s})
                output = await _read(ours, limit_bytes + 1)
            exit_code, is_timed_out = await end
        finally:
            del self._ends[exec_id], self._execs[exec_id]
        is_cut = len(output) > limit_bytes
        return Outcome(exit_code, output[:limit_bytes], is_cut, is_timed_out)

    async def resize(self, exec_id: str, *, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        task = self._containers.task(self.get(exec_id).container_id)
        size = {"rows": rows, "columns": columns}
        task.send({"type": "resize", "exec_id": exec_id, **size})

    # The life of their containers (LifeObserver)

    def running(self, container: Container, task: Task) -> None:
        """Take back the execs of an earlier daemon."""
        if task.earlier is None:
            return
        pids: dict[str, int] = task.earlier.get("execs", {})
        for noted in self._notes.of(container.id):
            exit_code = self._notes.exit_code(noted)
            is_running = exit_code is None and noted.id in pids
            self._execs[noted.id] = msgspec.structs.replace(
                noted, is_running=is_running, exit_code=exit_code, pid=pids.get(noted.id, 0)
            )
            if is_running:
                self._listen(noted, task)

    def take_back(self, containers: Iterable[Container]) -> None:
        """Remember the execs of containers that have ended before this engine began."""
        for container in containers:
            for noted in self._notes.of(container.id):
                if noted.id not in self._execs:
                    self._execs[noted.id] = noted
                    self._ended(noted.id)

    def ended(self, container: Container) -> None:
        """Wait for what the monitor has to say of them."""

    def gone(self, container: Container) -> None:
        """Note the end of those that nothing more will be heard of."""
        for instance in self._of(container.id):
            if instance.is_running:
                self._ended(instance.id)

    def removed(self, container_id: ContainerId) -> None:
        """Forget them; their notes have gone with the container's folder."""
        for instance in self._of(container_id):
            if instance.id not in self._ends:
                del self._execs[instance.id]

    # What they are made of

    def _of(self, container_id: ContainerId) -> list[Exec]:
        return [each for each in self._execs.values() if each.container_id == container_id]

    def _forget_oldest(self, container_id: ContainerId) -> None:
        done = [e for e in self._of(container_id) if e.exit_code is not None]
        for instance in done[:-_KEPT]:
            del self._execs[instance.id]
            self._notes.forget(instance)

    async def _start(
        self,
        instance: Exec,
        request: AttachRequest | None,
        connection: socket.socket | None,
        extra: Message,
    ) -> None:
        container = self._containers.get(instance.container_id)
        config = instance.config
        try:
            task = self._containers.task(container.id)
            started = self._listen(instance, task)
            message = {
                "type": "exec",
                "exec_id": instance.id,
                "process": exec_process(container, config, self._starter.facts(container)),
                "user": config.user or container.config.user,
                "terminal": config.tty,
                "open_stdin": config.attach_stdin,
                "attachments": [describe(request)] if request else [],
                "tty_size": [*config.console_size] if any(config.console_size) else None,
                **extra,
            }
            task.send(message, [connection.fileno()] if connection else [])
        finally:
            if connection is not None:
                connection.close()
        await self._until_started(instance, started, task)
        self._tell(container, "exec_start", instance.id, config)

    def _listen(self, instance: Exec, task: Task) -> "asyncio.Future[Message]":
        """Hear what the monitor says of an exec; return a future of its start."""
        started: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def heard(message: Message) -> None:
            """Take one message."""
            match message["type"]:
                case "exec_started" | "exec_failed" if not started.done():
                    started.set_result(message)
                case "detached":
                    container = self._containers.get(instance.container_id)
                    self._events.of_container(container, "exec_detach", execID=instance.id)
                case "exec_exited":
                    task.exec_messages.pop(instance.id, None)
                    is_late = bool(message.get("is_timed_out"))
                    self._ended(instance.id, int(message["exit_code"]), is_timed_out=is_late)

        task.exec_messages[instance.id] = heard
        return started

    async def _until_started(
        self,
        instance: Exec,
        started: "asyncio.Future[Message]",
        task: Task,
    ) -> None:
        ends: set[asyncio.Future[Any]] = {started, task.exited}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            raise Conflict(f"container {instance.container_id} is not running")
        message = started.result()
        if message["type"] == "exec_failed":
            task.exec_messages.pop(instance.id, None)
            failure = start_failure(message, instance.config.argv[0])
            self._execs[instance.id] = msgspec.structs.replace(
                instance, exit_code=failure.exit_code
            )
            raise failure
        if self._execs[instance.id].exit_code is None:
            self._execs[instance.id] = msgspec.structs.replace(
                instance, is_running=True, pid=int(message["pid"])
            )

    def _ended(
        self, exec_id: str, exit_code: int | None = None, *, is_timed_out: bool = False
    ) -> None:
        """Note the end of an exec, as its monitor told it or has noted it."""
        instance = self._execs.get(exec_id)
        if instance is None:
            return
        if exit_code is None:
            noted = self._notes.exit_code(instance)
            exit_code = _KILLED if noted is None else noted
        self._execs[exec_id] = msgspec.structs.replace(
            instance, is_running=False, exit_code=exit_code
        )
        container = self._containers.get(instance.container_id)
        self._events.of_container(container, "exec_die", execID=exec_id, exitCode=str(exit_code))
        if exec_id in self._ends and not self._ends[exec_id].done():
            self._ends[exec_id].set_result((exit_code, is_timed_out))

    def _tell(self, container: Container, action: str, exec_id: str, config: ExecConfig) -> None:
        command = " ".join(config.argv)
        self._events.of_container(container, f"{action}: {command}", execID=exec_id)


async def _read(connection: socket.socket, limit_bytes: int) -> bytes:
    """Read to the end, and keep the beginning."""
    loop = asyncio.get_running_loop()
    kept = b""
    while data := await loop.sock_recv(connection, 1 << 16):
        kept += data[: limit_bytes - len(kept)]
    return kept
