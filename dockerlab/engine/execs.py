"""The keeper of execs: one more process in a running container, forked by its monitor."""

import asyncio
import secrets
import socket
from typing import Any

import msgspec

from dockerlab.engine.attach import describe
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.container import ContainerId
from dockerlab.engine.containers import Containers
from dockerlab.engine.events import Events
from dockerlab.engine.exec import Exec, ExecConfig
from dockerlab.engine.pausing import check_not_paused
from dockerlab.engine.specs import exec_process
from dockerlab.engine.start import Starter
from dockerlab.engine.task import ExitRecord, Message, start_failure
from dockerlab.errors import Conflict, ExecNotFound, InvalidArgument, Unsupported

__all__ = ["Execs"]


class Execs:
    """All exec instances of this engine's life; those of a removed container are forgotten."""

    def __init__(self, containers: Containers, events: Events, starter: Starter) -> None:
        self._starter = starter
        self._containers = containers
        self._events = events
        self._execs: dict[str, Exec] = {}

    def create(self, name: str, config: ExecConfig) -> str:
        """Return the id of a new exec in a running container."""
        container = self._containers.get(name)
        self._containers.task(container.id)
        check_not_paused(container, name, "exec")
        if not config.argv:
            raise InvalidArgument("No exec command specified")
        if config.privileged:
            raise Unsupported("a privileged exec is not supported yet", "leave out --privileged")
        exec_id = secrets.token_hex(32)
        self._execs[exec_id] = Exec(id=exec_id, container_id=container.id, config=config)
        command = " ".join(config.argv)
        self._events.of_container(container, f"exec_create: {command}", execID=exec_id)
        return exec_id

    def get(self, exec_id: str) -> Exec:
        """Return the exec, or raise ExecNotFound."""
        if exec_id not in self._execs:
            raise ExecNotFound(exec_id)
        return self._execs[exec_id]

    def of_container(self, container_id: ContainerId) -> list[str]:
        """Return the ids of the execs that run in a container."""
        return [
            e.id for e in self._execs.values() if e.container_id == container_id and e.is_running
        ]

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
        task = self._containers.task(container.id)
        check_not_paused(container, container.id, "exec")
        started: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def heard(message: Message) -> None:
            """Take what the monitor says of this exec."""
            if message["type"] in ("exec_started", "exec_failed") and not started.done():
                started.set_result(message)
            if message["type"] == "exec_exited":
                self._ended(exec_id, int(message["exit_code"]))
                task.exec_messages.pop(exec_id, None)

        task.exec_messages[exec_id] = heard
        config = instance.config
        facts = self._starter.facts(container)
        message = {
            "type": "exec",
            "exec_id": exec_id,
            "process": exec_process(container, config, facts),
            "user": config.user or container.config.user,
            "terminal": config.tty,
            "open_stdin": config.attach_stdin,
            "attachments": [describe(request)] if request else [],
        }
        try:
            task.send(message, [connection.fileno()] if connection else [])
        finally:
            if connection is not None:
                connection.close()
        await self._until_started(instance, started, task.exited)

    async def resize(self, exec_id: str, *, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        task = self._containers.task(self.get(exec_id).container_id)
        size = {"rows": rows, "columns": columns}
        task.send({"type": "resize", "exec_id": exec_id, **size})

    async def _until_started(
        self,
        instance: Exec,
        started: "asyncio.Future[Message]",
        container_end: "asyncio.Future[ExitRecord]",
    ) -> None:
        ends: set[asyncio.Future[Any]] = {started, container_end}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            raise Conflict(f"container {instance.container_id} is not running")
        message = started.result()
        if message["type"] == "exec_failed":
            failure = start_failure(message, instance.config.argv[0])
            self._execs[instance.id] = msgspec.structs.replace(
                instance, exit_code=failure.exit_code
            )
            raise failure
        if self._execs[instance.id].exit_code is None:
            self._execs[instance.id] = msgspec.structs.replace(
                instance, is_running=True, pid=int(message["pid"])
            )

    def _ended(self, exec_id: str, exit_code: int) -> None:
        instance = self._execs[exec_id]
        self._execs[exec_id] = msgspec.structs.replace(
            instance, is_running=False, exit_code=exit_code
        )
        container = self._containers.get(instance.container_id)
        self._events.of_container(container, "exec_die", execID=exec_id, exitCode=str(exit_code))
