"""Containers, their execs, what they use, and their files."""

import builtins
import socket
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from dockerlab.daemon.backend.filters import Filters
from dockerlab.engine.archive import Change, PathStat
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.changes import Changes
from dockerlab.engine.container import Container, ContainerConfig, ContainerId, HostConfig
from dockerlab.engine.exec import Exec, ExecConfig
from dockerlab.engine.log import LogQuery, LogRecord
from dockerlab.engine.network import EndpointSettings
from dockerlab.engine.usage import ProcessTable, Sample
from dockerlab.phases import Phase

__all__ = ["Archives", "Containers", "Execs", "Resources", "Upload", "WaitCondition"]

WaitCondition = Literal["not-running", "next-exit", "removed"]


class Containers(Protocol):
    """The keeper of containers."""

    async def create(
        self,
        name: str,
        config: ContainerConfig,
        host: HostConfig,
        platform: str,
        networks: Sequence[EndpointSettings] = (),
    ) -> tuple[ContainerId, builtins.list[str]]:
        """Create; '' lets the engine choose a name. Returns the id and warnings."""
        ...

    def list(
        self, *, include_stopped: bool, limit: int, filters: Filters
    ) -> builtins.list[Container]:
        """Newest first; `limit` 0 is no limit and a limit includes stopped ones."""
        ...

    def get(self, name: str) -> Container:
        """Raise ContainerNotFound, or Conflict for an ambiguous beginning of an id."""
        ...

    def writable_bytes(self, name: str) -> int:
        """Bytes in the container's writable layer (`ps --size`)."""
        ...

    def log_path(self, name: str) -> str:
        """Return the path of the json-file log, '' when there is none."""
        ...

    async def start(self, name: str) -> None:
        """Raise NotModified when running, StartFailure when its process cannot be started."""
        ...

    async def stop(self, name: str, *, timeout_s: int | None, signal: str) -> None:
        """Raise NotModified when it does not run."""
        ...

    async def restart(self, name: str, *, timeout_s: int | None, signal: str) -> None:
        """Stop if it runs, then start."""
        ...

    async def kill(self, name: str, *, signal: str) -> None:
        """Send a signal ('' = KILL). Raise Conflict when it does not run."""
        ...

    async def wait(self, name: str, condition: WaitCondition) -> Awaitable[int]:
        """Return at once (or raise NotFound); the awaitable gives the exit status."""
        ...

    async def remove(self, name: str, *, force: bool, with_volumes: bool = False) -> None:
        """Raise Conflict when it runs and `force` is not given.

        `with_volumes` takes its anonymous volumes, too.
        """
        ...

    async def rename(self, name: str, new_name: str) -> None:
        """Raise Conflict when the new name is taken."""
        ...

    async def resize(self, name: str, *, rows: int, columns: int) -> None:
        """Set the size of the container's terminal."""
        ...

    def check_attach(self, name: str) -> Container:
        """Return the container if it can be attached to, else raise; called before the hijack."""
        ...

    async def attach(self, name: str, request: AttachRequest, connection: socket.socket) -> None:
        """Take over `connection` (the engine closes it) and join it to the container's streams.

        For a container that was not started yet the connection is kept until its start.
        """
        ...

    def logs(self, name: str, query: LogQuery) -> AsyncIterator[LogRecord]:
        """Iterate over the log, oldest first; with `query.follow` until the container ends."""
        ...

    def phases(self, name: str) -> builtins.list[Phase]:
        """Phases of the container's last run; kept a while after its removal."""
        ...


class Execs(Protocol):
    """The keeper of exec instances."""

    def create(self, name: str, config: ExecConfig) -> str:
        """Return the new exec id. Raise Conflict when the container does not run."""
        ...

    def get(self, exec_id: str) -> Exec:
        """Raise ExecNotFound."""
        ...

    def of_container(self, container_id: ContainerId) -> builtins.list[str]:
        """Return the ids of a container's execs that have not ended."""
        ...

    async def start(
        self, exec_id: str, request: AttachRequest | None, connection: socket.socket | None
    ) -> None:
        """Start it, joined to `connection` or (None) detached."""
        ...

    async def resize(self, exec_id: str, *, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        ...


class Resources(Protocol):
    """The keeper of what containers may use, and do use."""

    async def update(self, name: str, changes: Changes) -> list[str]:
        """Change limits, at once where it runs; returns warnings. All of them or none."""
        ...

    async def pause(self, name: str) -> None:
        """Raise Conflict when it does not run or is paused, Unsupported without a cgroup."""
        ...

    def unpause(self, name: str) -> None:
        """Raise Conflict when it is not paused."""
        ...

    async def top(self, name: str, arguments: str) -> ProcessTable:
        """List processes in the columns of ``ps`` with these arguments; '' is ``-ef``."""
        ...

    async def sample(self, name: str) -> Sample:
        """Read what it uses now."""
        ...

    def samples(self, name: str) -> AsyncIterator[Sample]:
        """Read once a second, as long as the container is there."""
        ...


class Upload(Protocol):
    """An archive on its way into a container."""

    async def write(self, data: bytes) -> None:
        """Give the next bytes; waits for who takes them."""
        ...

    async def finish(self) -> None:
        """Return when all is written, or raise why not."""
        ...


class Archives(Protocol):
    """The files of containers, running or not."""

    async def stat(self, name: str, path: str) -> PathStat:
        """Raise NotFound when there is no such path; a link on its end is not followed."""
        ...

    def download(
        self, name: str, path: str
    ) -> AbstractAsyncContextManager[tuple[PathStat, AsyncIterator[bytes]]]:
        """Give the facts of a path and the pieces of an archive of it."""
        ...

    def upload(
        self, name: str, path: str, *, keeps_kinds: bool, as_user: bool
    ) -> AbstractAsyncContextManager[Upload]:
        """Take an archive that is unpacked into a folder; `as_user` gives all to its user."""
        ...

    def export(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Give the pieces of an archive of the whole root."""
        ...

    async def changes(self, name: str) -> list[Change]:
        """Return what the container has changed, by path."""
        ...
