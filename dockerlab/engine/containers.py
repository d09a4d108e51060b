"""The keeper of containers: the verbs of the API on them.

What a verb does in detail is in the module of its name: `start`, `stop`, `attach`, `logs`. Here is
who may do it when, what is written down, and who is told. The records are `engine.roster`'s.
"""

import asyncio
import builtins
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from dockerlab.engine import attach as attaching
from dockerlab.engine import stop as stopping
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.container import Container, ContainerConfig, ContainerId, HostConfig
from dockerlab.engine.events import Events
from dockerlab.engine.folders import Folders
from dockerlab.engine.images import Images
from dockerlab.engine.log import LogQuery, LogRecord
from dockerlab.engine.logconfig import log_files
from dockerlab.engine.logs import LogSource, read_log
from dockerlab.engine.merging import check_limits, check_platform, merge
from dockerlab.engine.names import check_name, choose_name, new_id
from dockerlab.engine.roster import Roster
from dockerlab.engine.start import Starter
from dockerlab.engine.stopwatches import Stopwatches
from dockerlab.engine.task import ExitRecord, Task
from dockerlab.engine.waiters import Waiters
from dockerlab.errors import Conflict, ContainerNotFound, NotModified, StartFailure, Unsupported
from dockerlab.oci.imageconfig import RunConfig
from dockerlab.phases import Phase

__all__ = ["Containers"]


class Containers:
    """All containers of a data root, and the tasks of those that run."""

    def __init__(
        self, roster: Roster, folders: Folders, images: Images, events: Events, starter: Starter
    ) -> None:
        self._roster = roster
        self._folders = folders
        self._images = images
        self._events = events
        self._starter = starter
        self._tasks: dict[ContainerId, Task] = {}
        self._leaving: dict[ContainerId, Task] = {}
        self._locks: dict[ContainerId, asyncio.Lock] = {}
        self._restarting: set[ContainerId] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._attachments = attaching.Attachments()
        self._waiters = Waiters()
        self._stopwatches = Stopwatches()

    # Looking

    def list(
        self, *, include_stopped: bool, limit: int, filters: Mapping[str, Sequence[str]]
    ) -> builtins.list[Container]:
        """Newest first; see `Roster.list`."""
        return self._roster.list(
            self._images, include_stopped=include_stopped, limit=limit, filters=filters
        )

    def get(self, name: str) -> Container:
        """Return the container that a name, an id or the beginning of an id means."""
        return self._roster.get(name)

    def task(self, container_id: ContainerId) -> Task:
        """Return the running side of a container, or raise Conflict when it does not run."""
        if container_id not in self._tasks:
            raise Conflict(f"container {container_id} is not running")
        return self._tasks[container_id]

    @property
    def has_work(self) -> bool:
        """Tell whether something runs or waits."""
        return bool(self._tasks or self._attachments or self._background)

    def writable_bytes(self, name: str) -> int:
        """Return the bytes in the container's writable layer."""
        return self._starter.measure(self._folders.container(self.get(name).id).upper)

    def log_path(self, name: str) -> str:
        """Return the path of the json-file log, '' when there is none."""
        container = self.get(name)
        if container.host.log_driver != "json-file":
            return ""
        return str(self._folders.container(container.id).log)

    def phases(self, name: str) -> builtins.list[Phase]:
        """Return the phases of the last run, also of a container that was removed."""
        try:
            return self._stopwatches.phases(self.get(name).id)
        except ContainerNotFound:
            for container_id in reversed(self._stopwatches.names()):
                if container_id.startswith(name):
                    return self._stopwatches.phases(container_id)
            raise

    # Verbs

    async def create(
        self, name: str, config: ContainerConfig, host: HostConfig, platform: str
    ) -> tuple[ContainerId, builtins.list[str]]:
        """Create a container: a record and a folder, no process. Returns its id and warnings."""
        begin = time.monotonic()
        image = self._images.get(config.image)
        check_platform(image, config.image, platform)
        check_limits(host, cpus=len(os.sched_getaffinity(0)))
        host = self._starter.settle(host)
        merged = merge(config, image.config.config or RunConfig())
        container = Container(
            id=new_id(),
            name=check_name(name) if name else choose_name(self._roster.names),
            image_id=image.id,
            created_at=datetime.now(UTC),
            config=merged,
            host=host,
            layers=self._images.layers_of(image),
        )
        self._starter.check(container)
        # The record first: a folder without a record is deleted at the next start.
        self._roster.save(container)
        self._folders.container(container.id).make()
        self._stopwatches.begin(container.id).add("create", begin, time.monotonic())
        self._events.of_container(container, "create")
        kept = ", ".join(merged.volumes)
        warning = f"what is written to {kept} stays in the container: volumes are not supported yet"
        return container.id, [warning] if kept else []

    async def start(self, name: str) -> None:
        """Start a container; a client that goes away does not leave it half started."""
        await self._to_the_end(self._start(self.get(name).id))

    async def stop(self, name: str, *, timeout_s: int | None, signal: str) -> None:
        """Stop a container, or raise NotModified when it does not run."""
        container = self.get(name)
        task = self._tasks.get(container.id)
        if task is None:
            raise NotModified(f"container {container.id} is already stopped")
        ended = self._waiters.add(container.id, until_removed=False)
        await stopping.stop(container, task, timeout_s=timeout_s, signal=signal)
        await ended
        self._events.of_container(container, "stop")

    async def restart(self, name: str, *, timeout_s: int | None, signal: str) -> None:
        """Stop the container if it runs, then start it."""
        container = self.get(name)
        self._restarting.add(container.id)
        try:
            if container.id in self._tasks:
                await self.stop(container.id, timeout_s=timeout_s, signal=signal)
            await self.start(container.id)
        finally:
            self._restarting.discard(container.id)
        self._events.of_container(container, "restart")

    async def kill(self, name: str, *, signal: str) -> None:
        """Send a signal; after SIGKILL, return when the container has ended."""
        container = self.get(name)
        number = stopping.parse_signal(signal or "SIGKILL")
        task = self._tasks.get(container.id)
        if task is None:
            raise Conflict(
                f"cannot kill container: {name}: container {container.id} is not running"
            )
        self._events.of_container(container, "kill", signal=str(int(number)))
        if number == stopping.parse_signal("SIGKILL"):
            ended = self._waiters.add(container.id, until_removed=False)
            await stopping.kill(container, task)
            await ended
        else:
            stopping.send_signal(task, number)

    async def wait(self, name: str, condition: str) -> Awaitable[int]:
        """Return an awaitable of the exit status; everything that can fail fails before."""
        container = self.get(name)
        if condition == "not-running" and not container.state.is_running:
            done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            done.set_result(container.state.exit_code)
            return done
        return self._waiters.add(container.id, until_removed=condition == "removed")

    async def remove(self, name: str, *, force: bool) -> None:
        """Remove a container with what it wrote; a running one only by `force`."""
        container = self.get(name)
        task = self._tasks.get(container.id)
        if task is not None:
            if not force:
                raise Conflict(
                    f'cannot remove container "/{container.name}": container is running: stop the '
                    "container before removing or force remove"
                )
            self._restarting.add(container.id)  # Its end must not remove it a second time.
            ended = self._waiters.add(container.id, until_removed=False)
            try:
                await stopping.kill(container, task)
                await ended
            finally:
                self._restarting.discard(container.id)
        await self._to_the_end(self._remove(container.id))

    async def rename(self, name: str, new_name: str) -> None:
        """Give the container another name."""
        container = self.get(name)
        renamed = msgspec.structs.replace(container, name=check_name(new_name))
        self._roster.save(renamed)
        self._events.of_container(renamed, "rename", oldName=f"/{container.name}")

    async def resize(self, name: str, *, rows: int, columns: int) -> None:
        """Set the size of the container's terminal."""
        task = self.task(self.get(name).id)
        task.send({"type": "resize", "rows": rows, "columns": columns})

    def check_attach(self, name: str) -> Container:
        """Return the container that would be attached to."""
        return self.get(name)

    async def attach(self, name: str, request: AttachRequest, connection: socket.socket) -> None:
        """Join the connection to the container's streams, now or at its start."""
        container = self.get(name)
        self._events.of_container(container, "attach")
        if request.logs and (source := self._log_source(container)).path:
            await attaching.replay(source, request, connection)
        task = self._tasks.get(container.id)
        if request.stream and task is None:
            self._attachments.keep(container.id, request, connection)
            return
        with connection:
            if request.stream and task is not None:
                attaching.join(task, request, connection)

    def logs(self, name: str, query: LogQuery) -> AsyncIterator[LogRecord]:
        """Iterate over the log; raises at once when there is none to read."""
        container = self.get(name)
        source = self._log_source(container)
        if not source.path:
            raise Unsupported("configured logging driver does not support reading")
        return read_log(source, query, lambda: container.id in self._tasks)

    def _log_source(self, container: Container) -> LogSource:
        path = self._folders.container(container.id).log_of(container.host.log_driver)
        return LogSource(path, container.host.log_driver, log_files(container.host))

    # What the verbs are made of

    async def _start(self, container_id: ContainerId) -> None:
        async with self._locked(container_id):
            container = self.get(container_id)
            if container.state.is_running:
                raise NotModified(f"container {container_id} is already running")
            if (leaving := self._leaving.get(container_id)) is not None:
                # The monitor of the last run still holds the overlay and its folder.
                await leaving.gone.wait()
            try:
                task, started = await self._starter.start(
                    container,
                    self._folders.container(container_id),
                    self._attachments.take(container_id),
                    self._stopwatches.of(container_id),
                )
            except StartFailure as exc:
                await self._start_failed(container, exc)
                raise
            state = msgspec.structs.replace(
                container.state,
                status="running",
                pid=task.pid,
                exit_code=0,
                error="",
                oom_killed=False,
                started_at=datetime.fromtimestamp(int(started["started_ns"]) / 1e9, UTC),
            )
            # Renamed meanwhile, perhaps: the record is read again.
            container = msgspec.structs.replace(self.get(container_id), state=state)
            self._roster.save(container)
            self._events.of_container(container, "start")
            self.adopt(container_id, task)

    async def _start_failed(self, container: Container, failure: StartFailure) -> None:
        state = msgspec.structs.replace(
            container.state,
            status="created" if container.state.status == "created" else "exited",
            exit_code=failure.exit_code,
            error=failure.message,
            finished_at=datetime.now(UTC),
        )
        self._roster.save(msgspec.structs.replace(self.get(container.id), state=state))
        self._waiters.exited(container.id, failure.exit_code)
        if container.host.auto_remove:
            self.in_background(self._remove(container.id))

    def adopt(self, container_id: ContainerId, task: Task) -> None:
        """Take a running container under care: its end will be written down and told."""
        self._tasks[container_id] = task
        self.in_background(self._until_exit(container_id, task))

    async def _until_exit(self, container_id: ContainerId, task: Task) -> None:
        record = await task.exited
        del self._tasks[container_id]
        self._leaving[container_id] = task
        self.in_background(self._until_gone(container_id, task))
        stopwatch = self._stopwatches.of(container_id)
        starts = [p.begin_s + p.duration_s for p in stopwatch.phases if p.phase == "start"]
        if starts:
            stopwatch.add("exit", starts[-1], record.monotonic_s)
        await self.ended(container_id, record)

    async def _until_gone(self, container_id: ContainerId, task: Task) -> None:
        await task.gone.wait()
        if self._leaving.get(container_id) is task:
            del self._leaving[container_id]

    async def ended(self, container_id: ContainerId, record: ExitRecord) -> None:
        """Write down the end of a container, tell who waits, and remove it when that was asked."""
        container = self.get(container_id)
        state = msgspec.structs.replace(
            container.state,
            status="exited",
            pid=0,
            exit_code=record.exit_code,
            oom_killed=record.oom_killed,
            finished_at=datetime.fromtimestamp(record.finished_ns / 1e9, UTC),
        )
        container = self._roster.save(msgspec.structs.replace(container, state=state))
        if record.oom_killed:
            self._events.of_container(container, "oom")
        self._events.of_container(container, "die", exitCode=str(record.exit_code))
        self._waiters.exited(container_id, record.exit_code)
        if container.host.auto_remove and container_id not in self._restarting:
            await self._remove(container_id)

    async def _remove(self, container_id: ContainerId) -> None:
        async with self._locked(container_id):
            if container_id not in self._roster:
                return  # Somebody else removed it while this waited.
            begin = time.monotonic()
            container = self.get(container_id)
            if container_id in self._tasks:
                raise Conflict(f"container {container_id} was started again while being removed")
            trash = self._folders.discard(container_id)
            self._roster.forget(container)
            self._attachments.drop(container_id)
            if trash is not None:
                self._starter.discard(trash)
            await self._images.collect(container.layers)
            self._stopwatches.of(container_id).add("remove", begin, time.monotonic())
            self._events.of_container(container, "destroy")
            self._waiters.removed(container_id, container.state.exit_code)
        self._locks.pop(container_id, None)

    def _locked(self, container_id: ContainerId) -> asyncio.Lock:
        return self._locks.setdefault(container_id, asyncio.Lock())

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        await asyncio.shield(self.in_background(work))

    def in_background(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run something to its end, whoever asked for it and whether or not they stay."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def close(self) -> None:
        """Let go of everything that runs; it goes on."""
        for background in self._background:
            background.cancel()
        for running in (*self._tasks.values(), *self._leaving.values()):
            running.close()
