"""The lives of containers: started, ended, started again by policy, removed; once at a time each.

The verbs that a user has on them are `engine.containers`; what one start is made of is
`engine.start`. Here is what happens to a container whoever asked for it, or nobody::

    created ─start─> running ─end─> exited ─remove─> (gone)
                        ^            ^
                        └─restarting─┘   by its policy, or called off
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from dockerlab.engine.attach import Attachments
from dockerlab.engine.connections import Connections
from dockerlab.engine.container import Container, ContainerId, ContainerState
from dockerlab.engine.events import Events
from dockerlab.engine.folders import Folders
from dockerlab.engine.images import Images
from dockerlab.engine.lifeobserver import LifeObserver, this_boot
from dockerlab.engine.restart import next_delay_s, wants_restart
from dockerlab.engine.roster import Roster
from dockerlab.engine.sharing import find_donors
from dockerlab.engine.start import Starter
from dockerlab.engine.stopwatches import Stopwatches
from dockerlab.engine.task import ExitRecord, Message, Task
from dockerlab.engine.waiters import Waiters
from dockerlab.errors import Conflict, DockerlabError, NotModified, StartFailure

__all__ = ["Lives"]

_log = logging.getLogger("dockerlab.engine")


class Lives:
    """Every container's way from state to state, and the tasks of those that run.

    Attributes
    ----------
    attachments, waiters, stopwatches
        Who waits for a start or an end, and what was measured.
    observers : list
        Are told, in their order.
    """

    def __init__(
        self,
        roster: Roster,
        folders: Folders,
        images: Images,
        events: Events,
        starter: Starter,
        connections: Connections,
    ) -> None:
        self._roster = roster
        self._folders = folders
        self._images = images
        self._events = events
        self._starter = starter
        self._connections = connections
        self._boot_id = this_boot()
        self._tasks: dict[ContainerId, Task] = {}
        self._leaving: dict[ContainerId, Task] = {}
        self._locks: dict[ContainerId, asyncio.Lock] = {}
        self._held: set[ContainerId] = set()
        self._delays_s: dict[ContainerId, float] = {}
        self._called_off: dict[ContainerId, asyncio.Event] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.attachments = Attachments()
        self.waiters = Waiters()
        self.stopwatches = Stopwatches()
        self.observers: list[LifeObserver] = []

    # Looking

    def find_task(self, container_id: ContainerId) -> Task | None:
        """Return the running side of a container, None when it does not run."""
        return self._tasks.get(container_id)

    @property
    def has_work(self) -> bool:
        """Tell whether something runs or waits; a container between two runs does."""
        return bool(self._tasks or self.attachments or self._background)

    @asynccontextmanager
    async def steady(self, container_id: ContainerId) -> AsyncIterator[Container]:
        """Keep a container from being started or removed in the block, whether or not it runs."""
        async with self._locked(container_id):
            yield self._roster.get(container_id)

    @asynccontextmanager
    async def at_rest(self, container_id: ContainerId) -> AsyncIterator[Container]:
        """Keep a container that does not run from being started or removed in the block."""
        async with self._locked(container_id):
            if (leaving := self._leaving.get(container_id)) is not None:
                await leaving.gone.wait()
            yield self._roster.get(container_id)

    # Starting

    async def provide(self, container: Container) -> None:
        """Make and fill the volumes of a new container, which is removed where that fails."""
        await self._to_the_end(self._provide(container))

    async def _provide(self, container: Container) -> None:
        async with self._locked(container.id):
            try:
                await self._starter.provide(container, self._folders.container(container.id))
            except BaseException:
                self.in_background(self._remove(container.id, with_volumes=True))
                raise

    async def start(self, container_id: ContainerId) -> None:
        """Start a container for a user; a client that goes away does not leave it half started."""
        await self._to_the_end(self._start(container_id, by_policy=False))

    async def _start(self, container_id: ContainerId, *, by_policy: bool) -> None:
        async with self._locked(container_id):
            container = self._roster.get(container_id)
            if by_policy and container.state.status != "restarting":
                return  # Called off, or somebody was quicker.
            if container.state.status == "paused":
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.state.is_running and not by_policy:
                raise NotModified(f"container {container_id} is already running")
            if (leaving := self._leaving.get(container_id)) is not None:
                # The monitor of the last run still holds the overlay and its folder.
                await leaving.gone.wait()
            if by_policy:
                self.stopwatches.begin(container_id)
            else:
                self._delays_s.pop(container_id, None)
            try:
                stopwatch = self.stopwatches.of(container_id)
                async with self._connections.placed(container, stopwatch) as place:
                    donors = await find_donors(container, self._roster.get, self._share)
                    task, started = await self._starter.start(
                        place.container,
                        self._folders.container(container_id),
                        self.attachments.take(container_id),
                        stopwatch,
                        donors,
                        place.namespace,
                    )
            except StartFailure as exc:
                self.attachments.drop(container_id)
                self._start_failed(container, exc.exit_code, exc.message)
                raise
            self._started(place.container, task, started, by_policy=by_policy)

    async def _share(self, donor: Container) -> tuple[int, int]:
        """Return pid and descriptor of a running container; raise Conflict for another."""
        task = self.find_task(donor.id)
        if task is None:
            raise Conflict(f"container {donor.id} is not running")
        return task.pid, await task.share()

    def _started(self, placed: Container, task: Task, started: Message, *, by_policy: bool) -> None:
        # Renamed or stopped meanwhile, perhaps: the record is read again.
        container_id = placed.id
        record = self._roster.get(container_id)
        before = record.state
        state = ContainerState(
            status="running",
            pid=task.pid,
            started_at=datetime.fromtimestamp(int(started["started_ns"]) / 1e9, UTC),
            finished_at=before.finished_at,
            boot_id=self._boot_id,
            restart_count=before.restart_count if by_policy else 0,
            is_stopped_by_user=before.is_stopped_by_user and by_policy,
            health=before.health,
        )
        container = self._roster.save(
            msgspec.structs.replace(
                record, state=state, endpoints=placed.endpoints, ports=placed.ports
            )
        )
        self._connections.started(container)
        self._events.of_container(container, "start")
        self.adopt(container_id, task)

    def _start_failed(self, container: Container, exit_code: int, reason: str) -> None:
        state = msgspec.structs.replace(
            container.state,
            status="created" if container.state.status == "created" else "exited",
            exit_code=exit_code,
            error=reason,
            finished_at=datetime.now(UTC),
        )
        self.save_state(container.id, state)
        self.waiters.exited(container.id, exit_code)
        if container.host.auto_remove:
            self.in_background(self._remove(container.id, with_volumes=True))

    def adopt(self, container_id: ContainerId, task: Task) -> None:
        """Take a running container under care: its end will be written down and told."""
        self._tasks[container_id] = task
        task.on_detach = lambda: self._events.of_container(self._roster.get(container_id), "detach")
        for observer in self.observers:
            observer.running(self._roster.get(container_id), task)
        self.in_background(self._until_exit(container_id, task))

    # Ending

    async def _until_exit(self, container_id: ContainerId, task: Task) -> None:
        record = await task.exited
        del self._tasks[container_id]
        self._leaving[container_id] = task
        self.in_background(self._until_gone(container_id, task))
        stopwatch = self.stopwatches.of(container_id)
        starts = [p.begin_s + p.duration_s for p in stopwatch.phases if p.phase == "start"]
        if starts:
            stopwatch.add("exit", starts[-1], record.monotonic_s)
        await self.ended(container_id, record)

    async def _until_gone(self, container_id: ContainerId, task: Task) -> None:
        await task.gone.wait()
        if self._leaving.get(container_id) is task:
            del self._leaving[container_id]
        if container_id in self._roster:
            for observer in self.observers:
                observer.gone(self._roster.get(container_id))

    async def ended(self, container_id: ContainerId, record: ExitRecord) -> None:
        """Write down the end of a container, tell who waits, and do what comes next.

        That is a restart by its policy, or the removal that was asked for.
        """
        container = self._roster.get(container_id)
        before = container.state
        is_restarted = wants_restart(
            container.host.restart_policy,
            exit_code=record.exit_code,
            restart_count=before.restart_count,
            is_stopped_by_user=before.is_stopped_by_user,
        )
        finished_at = datetime.fromtimestamp(record.finished_ns / 1e9, UTC)
        state = msgspec.structs.replace(
            before,
            status="restarting" if is_restarted else "exited",
            pid=0,
            exit_code=record.exit_code,
            oom_killed=record.oom_killed or before.oom_killed,
            finished_at=finished_at,
            restart_count=before.restart_count + is_restarted,
        )
        places = container
        container = self._roster.save(
            msgspec.structs.replace(container, state=state, endpoints=(), ports=())
        )
        for observer in self.observers:
            observer.ended(container)
        self._connections.ended(places)
        if record.oom_killed and not before.oom_killed:
            self._events.of_container(container, "oom")
        self._events.of_container(container, "die", exitCode=str(record.exit_code))
        self.waiters.exited(container_id, record.exit_code)
        if is_restarted:
            self.restart_later(container_id, (finished_at - before.started_at).total_seconds())
        elif container.host.auto_remove and container_id not in self._held:
            await self._remove(container_id, with_volumes=True)

    def clear_cgroup(self, container: Container) -> None:
        """Remove what a monitor that was killed could not; a failure is for the log only."""
        try:
            self._starter.clear_cgroup(container)
        except OSError as exc:
            _log.warning("the cgroup of container %s stays: %s", container.id[:12], exc)

    def save_state(self, container_id: ContainerId, state: ContainerState) -> Container:
        """Write a container's state down and return its record, whose other parts stay."""
        container = self._roster.get(container_id)
        return self._roster.save(msgspec.structs.replace(container, state=state))

    @contextmanager
    def held(self, container_id: ContainerId) -> Iterator[None]:
        """Keep a container with ``--rm`` from being removed by its end within the block."""
        self._held.add(container_id)
        try:
            yield
        finally:
            self._held.discard(container_id)

    def expect_stop(self, container_id: ContainerId) -> None:
        """Write down that a user ends the container, so that its policy leaves it ended."""
        state = self._roster.get(container_id).state
        self.save_state(container_id, msgspec.structs.replace(state, is_stopped_by_user=True))

    # Restarting

    def restart_later(self, container_id: ContainerId, ran_s: float) -> None:
        """Start a container whose state is ``restarting`` when its time has come."""
        delay_s = next_delay_s(self._delays_s.get(container_id, 0.0), ran_s)
        self._delays_s[container_id] = delay_s
        called_off = self._called_off[container_id] = asyncio.Event()
        self.in_background(self._restart_after(container_id, delay_s, called_off))

    async def _restart_after(
        self, container_id: ContainerId, delay_s: float, called_off: asyncio.Event
    ) -> None:
        try:
            await asyncio.wait_for(called_off.wait(), delay_s)
        except TimeoutError:
            self._called_off.pop(container_id, None)
        else:
            return
        await self._start_by_policy(container_id)

    def start_with_engine(self, container_id: ContainerId) -> None:
        """Start a container because the engine does, whoever stopped it."""
        state = msgspec.structs.replace(
            self._roster.get(container_id).state, status="restarting", is_stopped_by_user=False
        )
        self.save_state(container_id, state)
        self.in_background(self._start_by_policy(container_id))

    async def _start_by_policy(self, container_id: ContainerId) -> None:
        """Start a container for nobody; why it cannot be is in its record and in the log."""
        try:
            await self._start(container_id, by_policy=True)
        except StartFailure as exc:
            _log.warning("container %s does not start again: %s", container_id[:12], exc)
        except DockerlabError as exc:
            _log.warning("container %s does not start again: %s", container_id[:12], exc)
            if container_id in self._roster:
                container = self._roster.get(container_id)
                self._start_failed(container, container.state.exit_code, exc.message)

    async def call_off_restart(self, container_id: ContainerId) -> None:
        """Stop a container that waits for its next run; it has ended, or runs, on return."""
        self.expect_stop(container_id)
        called_off = self._called_off.pop(container_id, None)
        if called_off is not None:
            called_off.set()
        async with self._locked(container_id):  # Its start may be on the way.
            state = self._roster.get(container_id).state
            if state.status == "restarting":
                self.save_state(container_id, msgspec.structs.replace(state, status="exited"))
                self.waiters.exited(container_id, state.exit_code)

    # Removing

    async def remove(self, container_id: ContainerId, *, with_volumes: bool) -> None:
        """Remove a container that does not run, and what it wrote, in its anonymous volumes too."""
        await self._to_the_end(self._remove(container_id, with_volumes=with_volumes))

    async def _remove(self, container_id: ContainerId, *, with_volumes: bool) -> None:
        async with self._locked(container_id):
            if container_id not in self._roster:
                return  # Somebody else removed it while this waited.
            begin = time.monotonic()
            container = self._roster.get(container_id)
            if container_id in self._tasks:
                raise Conflict(f"container {container_id} was started again while being removed")
            trash = self._folders.discard(container_id)
            self._roster.forget(container)
            self.attachments.drop(container_id)
            if trash is not None:
                self._starter.discard(trash)
            if with_volumes:
                self._starter.storage.volumes.release(container.mounts)
            await self._images.collect(container.layers)
            self.stopwatches.of(container_id).add("remove", begin, time.monotonic())
            for observer in self.observers:
                observer.removed(container_id)
            self._events.of_container(container, "destroy")
            self.waiters.removed(container_id, container.state.exit_code)
        self._locks.pop(container_id, None)
        self._delays_s.pop(container_id, None)

    # What they are made of

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
