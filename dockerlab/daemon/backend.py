"""What the routes need of the engine: one narrow Protocol a resource.

The engine never imports this; `daemon.app` hands its keepers to the routes. A name is a container's
name, its id, or an unambiguous beginning of its id, as clients send it.
"""

import builtins
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Literal, Protocol

from dockerlab.engine.archive import Change, PathStat
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.container import Container, ContainerConfig, ContainerId, HostConfig
from dockerlab.engine.event import Event
from dockerlab.engine.exec import Exec, ExecConfig
from dockerlab.engine.image import Image, ImageHistory, ImageRemoval, PullProgress
from dockerlab.engine.log import LogQuery, LogRecord
from dockerlab.engine.registry import Credential, RateLimit
from dockerlab.engine.system import EngineInfo
from dockerlab.engine.volume import Volume, VolumePrune
from dockerlab.phases import Phase

__all__ = [
    "Archives",
    "Containers",
    "Engine",
    "Events",
    "Execs",
    "Filters",
    "Images",
    "Pulls",
    "Registries",
    "System",
    "Upload",
    "Volumes",
    "WaitCondition",
]

# Docker's filters: key -> values, any of which must match; keys are joined by "and".
Filters = Mapping[str, Sequence[str]]
WaitCondition = Literal["not-running", "next-exit", "removed"]


class Containers(Protocol):
    """The keeper of containers."""

    async def create(
        self, name: str, config: ContainerConfig, host: HostConfig, platform: str
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

    async def start(
        self, exec_id: str, request: AttachRequest | None, connection: socket.socket | None
    ) -> None:
        """Start it, joined to `connection` or (None) detached."""
        ...

    async def resize(self, exec_id: str, *, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        ...


class Images(Protocol):
    """The keeper of images."""

    def list(self, *, include_intermediate: bool, filters: Filters) -> builtins.list[Image]:
        """Newest first."""
        ...

    def get(self, name: str) -> Image:
        """By reference, id or beginning of an id. Raise ImageNotFound."""
        ...

    def history(self, name: str) -> builtins.list[ImageHistory]:
        """Newest first."""
        ...

    def container_count(self, image: Image) -> int:
        """Return how many containers were made from it."""
        ...

    async def tag(self, name: str, repository: str, tag: str) -> None:
        """Give the image one more reference, taking it from another image if need be."""
        ...

    async def remove(self, name: str, *, force: bool, prune: bool) -> builtins.list[ImageRemoval]:
        """Untag, and delete when that was the last reference. Raise Conflict when in use."""
        ...


class Pulls(Protocol):
    """The keeper of pulls."""

    async def pull(
        self,
        reference: str,
        *,
        platform: str,
        emit: Callable[[PullProgress], None],
        credential: Credential | None = None,
    ) -> None:
        """Pull; `emit` is called on the daemon's loop, in order. Cancelling the task cancels it.

        `credential` is for the registry of the reference, and not kept.

        An error before the first progress line is raised like any other; the route turns one that
        comes later into the stream's error line.
        """
        ...

    def phases(self, name: str) -> list[Phase]:
        """Phases of the last pull of this reference in this engine's life."""
        ...


class Registries(Protocol):
    """The keeper of registries."""

    async def log_in(self, server: str, credential: Credential) -> str:
        """Return an identity token or ''. Raise Unauthorized when the registry says no.

        `server` is a registry as clients write it; '' is Docker Hub.
        """
        ...

    def rate_limits(self) -> list[RateLimit]:
        """Return what registries said with their last manifests."""
        ...


class Events(Protocol):
    """The stream of what happened."""

    def stream(
        self, *, since: datetime | None, until: datetime | None, filters: Filters
    ) -> AsyncIterator[Event]:
        """Iterate over recorded events from `since` on, then live ones; `until` None: for ever."""
        ...


class Volumes(Protocol):
    """The keeper of volumes."""

    def list(self, filters: Filters) -> builtins.list[Volume]:
        """By name."""
        ...

    def get(self, name: str) -> Volume:
        """Raise VolumeNotFound."""
        ...

    def create(
        self, name: str, *, driver: str, labels: Mapping[str, str], options: Mapping[str, str]
    ) -> Volume:
        """Return the new volume, or the one that is there; '' lets the engine choose a name."""
        ...

    async def remove(self, name: str, *, force: bool) -> None:
        """Raise Conflict when a container has it, VolumeNotFound without `force`."""
        ...

    async def size_bytes(self, name: str) -> int:
        """Return the bytes of its files."""
        ...

    async def prune(self, filters: Filters) -> VolumePrune:
        """Delete unused ones: the anonymous, or all of them by the filter ``all``."""
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


class System(Protocol):
    """Facts about the engine and the host."""

    def info(self) -> EngineInfo:
        """Collect them now."""
        ...


class Engine(Protocol):
    """All keepers of one engine."""

    @property
    def containers(self) -> Containers:
        """The keeper of containers."""
        ...

    @property
    def execs(self) -> Execs:
        """The keeper of exec instances."""
        ...

    @property
    def images(self) -> Images:
        """The keeper of images."""
        ...

    @property
    def pulls(self) -> Pulls:
        """The keeper of pulls."""
        ...

    @property
    def registries(self) -> Registries:
        """The keeper of registries."""
        ...

    @property
    def events(self) -> Events:
        """The stream of what happened."""
        ...

    @property
    def system(self) -> System:
        """Facts about the engine and the host."""
        ...

    @property
    def volumes(self) -> Volumes:
        """The keeper of volumes."""
        ...

    @property
    def archives(self) -> Archives:
        """The files of containers."""
        ...

    @property
    def has_work(self) -> bool:
        """Whether something goes on that an idle exit would disturb."""
        ...

    async def close(self) -> None:
        """Let go of everything; containers go on."""
        ...
