"""The keeper of containers: the verbs of the API on them.

What a verb does in detail is in the module of its name: `start`, `stop`, `attach`, `logs`. Here is
who may do it when. What happens to a container whoever asked for it is `engine.lives`; the records
are `engine.roster`'s.
"""

import asyncio
import builtins
import os
import signal as signals
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from dockerlab.engine import attach as attaching
from dockerlab.engine import stop as stopping
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.container import Container, ContainerConfig, ContainerId, HostConfig
from dockerlab.engine.events import Events
from dockerlab.engine.folders import Folders
from dockerlab.engine.images import Images
from dockerlab.engine.limits import settle
from dockerlab.engine.lives import Lives
from dockerlab.engine.log import LogQuery, LogRecord
from dockerlab.engine.logconfig import log_files
from dockerlab.engine.logs import LogSource, read_log
from dockerlab.engine.merging import check_platform, merge
from dockerlab.engine.names import check_name, choose_name, new_id
from dockerlab.engine.network import EndpointSettings
from dockerlab.engine.networks import Networks
from dockerlab.engine.pausing import check_not_paused
from dockerlab.engine.places import settle_places
from dockerlab.engine.roster import Roster
from dockerlab.engine.sharing import named_donors
from dockerlab.engine.signals import parse_signal
from dockerlab.engine.start import Starter
from dockerlab.engine.task import Task
from dockerlab.errors import Conflict, ContainerNotFound, NotModified, Unsupported
from dockerlab.oci.imageconfig import RunConfig
from dockerlab.phases import Phase

__all__ = ["Containers"]


class Containers:
    """All containers of a data root."""

    def __init__(  # noqa: PLR0913, PLR0917 - the keepers that it asks, at the only call
        self,
        roster: Roster,
        folders: Folders,
        images: Images,
        events: Events,
        starter: Starter,
        lives: Lives,
        networks: Networks,
    ) -> None:
        self._roster = roster
        self._folders = folders
        self._images = images
        self._events = events
        self._starter = starter
        self._lives = lives
        self._networks = networks

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
        task = self._lives.find_task(container_id)
        if task is None:
            self._check_not_restarting(self.get(container_id))
            raise Conflict(f"container {container_id} is not running")
        return task

    def writable_bytes(self, name: str) -> int:
        """Return the bytes in the container's writable layer."""
        return self._starter.measure(self._folders.container(self.get(name).id))

    def log_path(self, name: str) -> str:
        """Return the path of the json-file log, '' when there is none."""
        container = self.get(name)
        if container.host.log_driver != "json-file":
            return ""
        return str(self._folders.container(container.id).log)

    def phases(self, name: str) -> builtins.list[Phase]:
        """Return the phases of the last run, also of a container that was removed."""
        try:
            return self._lives.stopwatches.phases(self.get(name).id)
        except ContainerNotFound:
            for container_id in reversed(self._lives.stopwatches.names()):
                if container_id.startswith(name):
                    return self._lives.stopwatches.phases(container_id)
            raise

    # Verbs

    async def create(
        self,
        name: str,
        config: ContainerConfig,
        host: HostConfig,
        platform: str,
        networks: Sequence[EndpointSettings] = (),
    ) -> tuple[ContainerId, builtins.list[str]]:
        """Create a container: a record and a folder, no process. Returns its id and warnings."""
        begin = time.monotonic()
        image = self._images.get(config.image)
        check_platform(image, config.image, platform)
        host, warnings = settle(host, cpus=len(os.sched_getaffinity(0)))
        config, host = named_donors(config, host, self.get)
        if config.stop_signal:
            parse_signal(config.stop_signal)  # Refused now, rather than at its stop.
        host = self._starter.settle(host)
        places, more = settle_places(config, host, networks, self._networks.find)
        warnings += more
        merged = merge(config, image.config.config or RunConfig())
        container = Container(
            id=new_id(),
            name=check_name(name) if name else choose_name(self._roster.names),
            image_id=image.id,
            created_at=datetime.now(UTC),
            config=merged,
            host=host,
            layers=self._images.layers_of(image),
            networks=places,
        )
        mounts = self._starter.choose_mounts(merged, host, lambda other: self.get(other).mounts)
        container = msgspec.structs.replace(container, mounts=mounts)
        self._starter.check(container)
        # The record first: a folder without a record is deleted at the next start.
        self._roster.save(container)
        self._folders.container(container.id).make()
        if mounts:
            await self._lives.provide(container)
        self._lives.stopwatches.begin(container.id).add("create", begin, time.monotonic())
        self._events.of_container(container, "create")
        return container.id, warnings

    async def start(self, name: str) -> None:
        """Start a container; a client that goes away does not leave it half started."""
        await self._lives.start(self.get(name).id)

    async def stop(self, name: str, *, timeout_s: int | None, signal: str) -> None:
        """Stop a container, or raise NotModified when it does not run."""
        container = self.get(name)
        number = parse_signal(signal) if signal else stopping.stop_signal(container)
        was_restarting = container.state.status == "restarting"
        if was_restarting:
            await self._lives.call_off_restart(container.id)
        task = self._lives.find_task(container.id)
        if task is not None:
            self._lives.expect_stop(container.id)
            ended = self._lives.waiters.add(container.id, until_removed=False)
            await stopping.stop(container, task, timeout_s=timeout_s, signal=number)
            await ended
        elif not was_restarting:
            raise NotModified(f"container {container.id} is already stopped")
        self._events.of_container(container, "stop")

    async def restart(self, name: str, *, timeout_s: int | None, signal: str) -> None:
        """Stop the container if it runs, then start it."""
        container = self.get(name)
        with self._lives.held(container.id):
            if container.state.is_running:
                await self.stop(container.id, timeout_s=timeout_s, signal=signal)
            await self.start(container.id)
        self._events.of_container(container, "restart")

    async def kill(self, name: str, *, signal: str) -> None:
        """Send a signal; after SIGKILL, return when the container has ended."""
        container = self.get(name)
        number = parse_signal(signal or "SIGKILL")
        if container.state.status == "restarting":
            await self._lives.call_off_restart(container.id)
            if not self.get(container.id).state.is_running:
                return
        task = self._lives.find_task(container.id)
        if task is None:
            raise Conflict(
                f"cannot kill container: {name}: container {container.id} is not running"
            )
        if stopping.is_meant_to_end(container, number):
            self._lives.expect_stop(container.id)
        self._events.of_container(container, "kill", signal=str(number))
        if number == signals.SIGKILL:
            ended = self._lives.waiters.add(container.id, until_removed=False)
            await stopping.kill(container, task)
            await ended
        else:
            wakes = stopping.is_meant_to_end(container, number)
            stopping.send_signal(task, number, wakes=wakes)

    async def wait(self, name: str, condition: str) -> Awaitable[int]:
        """Return an awaitable of the exit status; everything that can fail fails before."""
        container = self.get(name)
        if condition == "not-running" and not container.state.is_running:
            done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            done.set_result(container.state.exit_code)
            return done
        return self._lives.waiters.add(container.id, until_removed=condition == "removed")

    async def remove(self, name: str, *, force: bool, with_volumes: bool = False) -> None:
        """Remove it with what it wrote, or its anonymous volumes too; running only by `force`."""
        container = self.get(name)
        if container.state.status == "paused" and not force:
            raise Conflict(
                f'cannot remove container "/{container.name}": container is paused and must be '
                "unpaused first"
            )
        if container.state.is_running and not force:
            raise Conflict(
                f'cannot remove container "/{container.name}": container is '
                f"{container.state.status}: stop the container before removing or force remove"
            )
        with self._lives.held(container.id):  # Its end must not remove it a second time.
            await self._end_for_removal(container)
        await self._lives.remove(container.id, with_volumes=with_volumes)

    async def _end_for_removal(self, container: Container) -> None:
        if container.state.status == "restarting":
            await self._lives.call_off_restart(container.id)
        task = self._lives.find_task(container.id)
        if task is not None:
            self._lives.expect_stop(container.id)
            ended = self._lives.waiters.add(container.id, until_removed=False)
            await stopping.kill(container, task)
            await ended

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
        """Return the container that would be attached to, or raise Conflict between two runs."""
        container = self.get(name)
        self._check_not_restarting(container)
        check_not_paused(container, name, "attach")
        return container

    async def attach(self, name: str, request: AttachRequest, connection: socket.socket) -> None:
        """Join the connection to the container's streams, now or at its start."""
        container = self.get(name)
        self._events.of_container(container, "attach")
        if request.logs and (source := self._log_source(container)).path:
            await attaching.replay(source, request, connection)
        task = self._lives.find_task(container.id)
        if request.stream and task is None:
            self._lives.attachments.keep(container.id, request, connection)
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
        return read_log(source, query, lambda: self._lives.find_task(container.id) is not None)

    def _log_source(self, container: Container) -> LogSource:
        path = self._folders.container(container.id).log_of(container.host.log_driver)
        return LogSource(path, container.host.log_driver, log_files(container.host))

    def _check_not_restarting(self, container: Container) -> None:
        if container.state.status == "restarting":
            raise Conflict(
                f"Container {container.id} is restarting, wait until the container is running"
            )
