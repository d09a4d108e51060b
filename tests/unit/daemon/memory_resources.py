"""What containers of the engine in memory use: always the same, and more in each sample."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from dockerlab import errors
from dockerlab.engine.changes import Changes
from dockerlab.engine.container import Status
from dockerlab.engine.updating import updated
from dockerlab.engine.usage import ProcessTable, Sample
from dockerlab.runtime.cgroups.usage import CpuUsage, DiskUsage, MemoryUsage, PidsUsage, Usage
from dockerlab.runtime.procfs import HostCpu

if TYPE_CHECKING:
    from tests.unit.daemon.memory import MemoryEngine

HOST_BYTES = 1 << 30


class MemoryResources:
    def __init__(self, engine: "MemoryEngine") -> None:
        self._engine = engine
        self.asked: list[str] = []

    async def update(self, name: str, changes: Changes) -> list[str]:
        container = self._engine.containers.get(name)
        host = updated(container.host, changes)
        self._engine.containers.records[container.id] = msgspec.structs.replace(
            container, host=host
        )
        return ["memory is short"] if "memory_bytes" in changes.limits else []

    async def pause(self, name: str) -> None:
        self._change(name, "running", "paused")

    def unpause(self, name: str) -> None:
        self._change(name, "paused", "running")

    async def top(self, name: str, arguments: str) -> ProcessTable:
        self._engine.containers.get(name)
        self.asked.append(arguments)
        return ProcessTable(["PID", "CMD"], [["7", "sleep 60"]])

    async def sample(self, name: str) -> Sample:
        return self._sample(name, 1)

    async def samples(self, name: str) -> AsyncIterator[Sample]:
        for number in (1, 2, 3):
            yield self._sample(name, number)

    def _change(self, name: str, before: Status, after: Status) -> None:
        container = self._engine.containers.get(name)
        if container.state.status != before:
            raise errors.Conflict(f"Container {container.id} is {container.state.status}")
        state = msgspec.structs.replace(container.state, status=after)
        self._engine.containers.records[container.id] = msgspec.structs.replace(
            container, state=state
        )

    def _sample(self, name: str, number: int) -> Sample:
        container = self._engine.containers.get(name)
        if not container.state.is_running:
            return Sample(container=container, memory_bytes=HOST_BYTES)
        return Sample(
            container=container,
            memory_bytes=HOST_BYTES,
            read_at=container.created_at + timedelta(seconds=number),
            usage=Usage(
                cpu=CpuUsage(total_ns=number * 5 * 10**8, user_ns=0, system_ns=0),
                memory=MemoryUsage(usage_bytes=4 << 20, stats={"total_inactive_file": 1 << 20}),
                pids=PidsUsage(2),
                disks=DiskUsage(),
                interfaces={"eth0": list(range(16))},
                host=HostCpu(number * 2 * 10**9, 2),
            ),
        )
