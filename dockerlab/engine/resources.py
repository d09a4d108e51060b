"""The keeper of resources: what containers may use, what they do use, and whether they run on.

How is in the modules of the verbs: `updating` and `limits`, `pausing`, `processtable`, and
`runtime.cgroups.stats`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from dockerlab.engine.cgroup import Cgroup, find_cgroup
from dockerlab.engine.changes import Changes
from dockerlab.engine.container import Container, HostConfig
from dockerlab.engine.containers import Containers
from dockerlab.engine.events import Events
from dockerlab.engine.folders import Folders
from dockerlab.engine.limits import resources_of, settle
from dockerlab.engine.pausing import Pausing
from dockerlab.engine.processtable import host_table, own_table
from dockerlab.engine.roster import Roster
from dockerlab.engine.updating import updated
from dockerlab.engine.usage import ProcessTable, Sample
from dockerlab.errors import Conflict, ContainerNotFound, EngineFailure, Unsupported
from dockerlab.oci.runtimespec import Resources as Limits
from dockerlab.runtime.cgroups.stats import members, read_usage
from dockerlab.runtime.cgroups.tree import CgroupError

__all__ = ["Resources"]

_EVERY_S = 1.0


class Resources:
    """Limits, usage and pauses of all containers."""

    def __init__(
        self,
        roster: Roster,
        folders: Folders,
        events: Events,
        containers: Containers,
        pausing: Pausing,
    ) -> None:
        self._roster = roster
        self._folders = folders
        self._events = events
        self._containers = containers
        self._pausing = pausing
        self._memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._cpus = len(os.sched_getaffinity(0))

    async def pause(self, name: str) -> None:
        """Stop the processes of a container that runs."""
        await self._pausing.pause(self._running(name))

    def unpause(self, name: str) -> None:
        """Let them go on."""
        self._pausing.unpause(self._containers.get(name))

    async def update(self, name: str, changes: Changes) -> list[str]:
        """Change limits, of a container that runs at once; returns warnings.

        Nothing is changed when one of the limits cannot be set.
        """
        container = self._containers.get(name)
        try:
            host = updated(container.host, changes)
        except Conflict as exc:
            raise Conflict(f"Cannot update container {container.id}: {exc.message}") from exc
        host, warnings = settle(host, cpus=self._cpus)
        if container.state.is_running and container.state.pid:
            await self._apply(container, host, changes)
        # Renamed or ended meanwhile, perhaps: the record is read again.
        container = self._roster.get(container.id)
        self._roster.save(msgspec.structs.replace(container, host=host))
        self._events.of_container(container, "update")
        return warnings

    async def top(self, name: str, arguments: str) -> ProcessTable:
        """Return the table of a container's processes, in the columns that ps(1) would show."""
        container = self._running(name)
        pids = await asyncio.to_thread(self._members, container)
        words = arguments.split()
        if words in ([], ["-ef"]):
            table = await asyncio.to_thread(own_table, pids)
        else:
            table = await host_table(words, pids)
        self._events.of_container(container, "top")
        return table

    async def sample(self, name: str) -> Sample:
        """Read what a container uses now; nothing of one that does not run."""
        container = self._containers.get(name)
        if container.state.pid:
            # Its end may come in between, and takes the files away.
            with suppress(OSError):
                # In a thread: many may be read at once, and nobody else shall wait for that.
                return await asyncio.to_thread(self._read, container)
        return Sample(container=container, memory_bytes=self._memory_bytes)

    async def samples(self, name: str) -> AsyncIterator[Sample]:
        """Read every second, as long as the container is there, whether it runs or not."""
        container_id = self._containers.get(name).id
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            try:
                yield await self.sample(container_id)
            except ContainerNotFound:
                return
            due_s = max(due_s + _EVERY_S, loop.time())
            await asyncio.sleep(due_s - loop.time())

    def _read(self, container: Container) -> Sample:
        tree, path = self._cgroup(container) or (None, "")
        has_network = container.host.network_mode != "host"
        usage = read_usage(tree, path, container.state.pid, has_network=has_network)
        return Sample(
            container=container,
            memory_bytes=self._memory_bytes,
            read_at=datetime.now(UTC),
            usage=usage,
        )

    def _members(self, container: Container) -> list[int]:
        tree, path = self._cgroup(container) or (None, "")
        return members(tree, path, container.state.pid)

    def _running(self, name: str) -> Container:
        container = self._containers.get(name)
        if container.state.status == "restarting":
            raise Conflict(
                f"Container {container.id} is restarting, wait until the container is running"
            )
        if not container.state.is_running:
            raise Conflict(f"Container {container.id} is not running")
        return container

    def _cgroup(self, container: Container) -> Cgroup | None:
        return find_cgroup(self._folders.container(container.id))

    async def _apply(self, container: Container, host: HostConfig, changes: Changes) -> None:
        """Write the limits that change; on an error those that were there are written back."""
        before, after = resources_of(container.host), resources_of(host)
        if "pids_limit" in changes.limits and "pids" not in after:
            after["pids"] = {"limit": -1}
        wanted = _difference(after, before)
        if not wanted:
            return
        cgroup = self._cgroup(container)
        if cgroup is None:
            raise Unsupported(
                f"the limits of container {container.id[:12]} cannot be changed while it runs: it"
                " has no cgroup",
                "stop it, update it, and start it again",
            )
        try:
            await asyncio.to_thread(cgroup.tree.update, cgroup.path, wanted)
        except CgroupError as exc:
            with suppress(CgroupError):
                cgroup.tree.update(cgroup.path, _difference(before, after))
            raise EngineFailure(f"Cannot update container {container.id}: {exc}") from exc
        if "memory" in wanted:
            # Its memory may not have been limited so far, and so not watched.
            self._containers.task(container.id).send({"type": "watch_memory"})


def _difference(after: Limits, before: Limits) -> Limits:
    return {key: value for key, value in after.items() if value != before.get(key)}  # type: ignore[return-value]
