"""Images, and the registries that they come from."""

import builtins
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from dockerlab.daemon.backend.containers import Upload
from dockerlab.daemon.backend.filters import Filters
from dockerlab.engine.build import BuildRequest, Tell
from dockerlab.engine.image import (
    CommitRequest,
    Image,
    ImageHistory,
    ImageLayers,
    ImagePrune,
    ImageRemoval,
    ImportRequest,
    PullProgress,
)
from dockerlab.engine.registry import Credential, RateLimit, SearchResult
from dockerlab.oci.digest import Digest
from dockerlab.phases import Phase

__all__ = [
    "Build",
    "Builds",
    "Commits",
    "Images",
    "Layers",
    "Pulls",
    "Pushes",
    "Registries",
    "Transfers",
]


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

    def shared_bytes(self) -> dict[Digest, int]:
        """Return for every image the bytes of those of its layers that another image has too."""
        ...

    def layers_bytes(self) -> int:
        """Return the bytes of all images' layers, each counted once."""
        ...

    async def prune(self, filters: Filters) -> ImagePrune:
        """Remove images that no container has. Raise InvalidArgument for an unknown filter."""
        ...

    async def tag(self, name: str, repository: str, tag: str) -> None:
        """Give the image one more reference, taking it from another image if need be."""
        ...

    async def remove(self, name: str, *, force: bool, prune: bool) -> builtins.list[ImageRemoval]:
        """Untag, and delete when that was the last reference. Raise Conflict when in use."""
        ...


class Layers(Protocol):
    """What looks into images."""

    async def look_into(self, name: str) -> ImageLayers:
        """Return what each layer does. Raise ImageNotFound."""
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

    async def pull_all(
        self,
        name: str,
        *,
        platform: str,
        emit: Callable[[PullProgress], None],
        credential: Credential | None = None,
    ) -> None:
        """Pull every tag of a repository, one behind the other; otherwise as `pull`."""
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


class Commits(Protocol):
    """What makes images of containers."""

    async def commit(self, request: CommitRequest) -> Image:
        """Make an image of what a container has changed. Raise Unsupported where it cannot."""
        ...


class Transfers(Protocol):
    """Images into archives and out of them. What reads a descriptor closes it."""

    def save(self, names: Sequence[str]) -> AsyncIterator[bytes]:
        """Return the pieces of an archive. Raise ImageNotFound at once."""
        ...

    async def load(self, source_fd: int, emit: Callable[[PullProgress], None]) -> list[str]:
        """Take in the images of an archive; return what to tell the user."""
        ...

    async def import_root(self, source_fd: int, request: ImportRequest) -> Image:
        """Make an image of an archive of files."""
        ...


class Pushes(Protocol):
    """What brings images to registries, and asks there."""

    async def push(
        self,
        name: str,
        tag: str,
        *,
        emit: Callable[[PullProgress], None],
        credential: Credential | None = None,
    ) -> None:
        """Push a tag, or without one all tags of a repository; otherwise as `Pulls.pull`."""
        ...

    async def search(
        self, term: str, *, limit: int, credential: Credential | None = None
    ) -> list[SearchResult]:
        """Return what a registry has; the term may begin with its name, else it is Docker Hub."""
        ...


class Build(Protocol):
    """A build whose context is being taken."""

    def upload(self) -> AbstractAsyncContextManager[Upload]:
        """Take the context, an archive, while the block lasts."""
        ...

    async def run(self, tell: Tell) -> Image:
        """Build; `tell` is awaited for every text and every line of a pull."""
        ...


class Builds(Protocol):
    """The keeper of builds."""

    def open(self, request: BuildRequest) -> AbstractAsyncContextManager[Build]:
        """Give a build its place while the block lasts. Raise InvalidArgument for its tags."""
        ...
