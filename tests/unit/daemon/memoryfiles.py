"""Volumes and files of containers in memory, for the tests of the daemon's routes."""

# ruff: noqa: ARG002 - the methods have the parameters of the Protocols

import builtins
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

from dockerlab import errors
from dockerlab.daemon.backend import Filters
from dockerlab.engine.archive import Change, PathStat
from dockerlab.engine.container import Container
from dockerlab.engine.volume import Volume, VolumePrune

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


class _Containers(Protocol):
    def get(self, name: str) -> Container: ...


class MemoryVolumes:
    def __init__(self) -> None:
        self.records: dict[str, Volume] = {}

    def list(self, filters: Filters) -> builtins.list[Volume]:
        return [v for v in self.records.values() if v.name in filters.get("name", [v.name])]

    def get(self, name: str) -> Volume:
        if name not in self.records:
            raise errors.VolumeNotFound(name)
        return self.records[name]

    def create(
        self, name: str, *, driver: str, labels: Mapping[str, str], options: Mapping[str, str]
    ) -> Volume:
        made = Volume(
            name=name or "0" * 64,
            created_at=NOW,
            path=f"/volumes/{name}",
            labels=dict(labels),
            options=dict(options),
            is_anonymous=not name,
        )
        self.records[made.name] = made
        return made

    async def remove(self, name: str, *, force: bool) -> None:
        if not force:
            self.get(name)
        self.records.pop(name, None)

    async def size_bytes(self, name: str) -> int:
        return len(self.get(name).name)

    async def prune(self, filters: Filters) -> VolumePrune:
        everything = "all" in filters
        names = [v.name for v in self.records.values() if everything or v.is_anonymous]
        for name in names:
            del self.records[name]
        return VolumePrune(names=tuple(names), freed_bytes=7 * len(names))


class MemoryUpload:
    def __init__(self, archives: "MemoryArchives") -> None:
        self._archives = archives

    async def write(self, data: bytes) -> None:
        self._archives.received_bytes += len(data)
        self._archives.largest_bytes = max(self._archives.largest_bytes, len(data))

    async def finish(self) -> None:
        self._archives.finished += 1


class MemoryArchives:
    """Every container has one file, /file; uploads go to /folder only."""

    def __init__(self, containers: _Containers) -> None:
        self._containers = containers
        self.received_bytes = 0
        self.largest_bytes = 0
        self.finished = 0
        self.left = 0

    async def stat(self, name: str, path: str) -> PathStat:
        self._containers.get(name)
        if path != "/file":
            raise errors.NotFound(f"Could not find the file {path}")
        return PathStat(name="file", size=4, mode=0o104755, mtime_ns=10**9, link_target="")

    @asynccontextmanager
    async def download(
        self, name: str, path: str
    ) -> AsyncIterator[tuple[PathStat, AsyncIterator[bytes]]]:
        yield await self.stat(name, path), _pieces()

    @asynccontextmanager
    async def upload(
        self, name: str, path: str, *, keeps_kinds: bool, as_user: bool
    ) -> AsyncIterator[MemoryUpload]:
        self._containers.get(name)
        if path != "/folder":
            raise errors.NotFound(f"Could not find the file {path}")
        try:
            yield MemoryUpload(self)
        finally:
            self.left += 1

    @asynccontextmanager
    async def export(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        self._containers.get(name)
        yield _pieces()

    async def changes(self, name: str) -> list[Change]:
        self._containers.get(name)
        return [Change(path="/new", kind=1)]


async def _pieces() -> AsyncIterator[bytes]:
    yield b"first "
    yield b"second"
