"""The files of a build: its context, what COPY names, and where that goes; the daemon's side.

Children of the zygote do the work (`buildjobs`). All of a build lies in one folder, which goes with
it: the context, the texts of heredocs, and the writable parts of images that are looked into.
"""

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dockerlab.engine.archives import Upload
from dockerlab.engine.asking import Answers, failure
from dockerlab.engine.container import Container, ContainerConfig, ContainerId, HostConfig
from dockerlab.engine.folders import ContainerFolder
from dockerlab.engine.image import Image
from dockerlab.engine.start import Starter
from dockerlab.errors import EngineFailure
from dockerlab.oci.digest import Digest

__all__ = ["BuildFolder", "Found", "Placement", "layers_of"]

_CHUNK_BYTES = 256 << 10
# Of the archive; what a file system can hold is less.
_MAX_CONTEXT_BYTES = 64 << 30
_MAX_TEXT_BYTES = 4 << 20
_REMOVALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a pattern of COPY means. `digest` is of everything but times."""

    pattern: int
    path: str
    is_folder: bool
    is_archive: bool
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a source goes; see `buildjobs.place_source`."""

    target: str
    is_inside: bool
    owner: str
    keeps_owners: bool
    mode: int | None


class BuildFolder:
    """The folder of one build.

    Parameters
    ----------
    path : Path
        Not there yet.
    """

    def __init__(self, path: Path, starter: Starter) -> None:
        self._path = path
        self._starter = starter
        self._serial = 0

    @property
    def context(self) -> dict[str, Any]:
        """The context, as a source."""
        return {"folder": str(self._path / "context")}

    @property
    def is_rootless(self) -> bool:
        """Whether files belong to ids of a user namespace."""
        return self._starter.mapping is not None

    def make(self) -> None:
        """Create it."""
        self._path.mkdir(mode=0o700)
        (self._path / "context").mkdir(mode=0o755)

    def remove(self) -> None:
        """Delete it with all that is in it; in a thread.

        Raises
        ------
        EngineFailure
            Something of it stays, until the engine starts again.
        """
        for _ in range(_REMOVALS):
            # A part of it may be going already: who is late there stops.
            with suppress(EngineFailure):
                return self._starter.spawner.remove_tree(str(self._path))
        return self._starter.spawner.remove_tree(str(self._path))

    # The context

    @asynccontextmanager
    async def upload(self) -> AsyncIterator[Upload]:
        """Take the context, an archive."""
        args = {
            **self.context,
            "userxattr": self.is_rootless,
            "limit_bytes": _MAX_CONTEXT_BYTES,
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        with ours:
            with theirs:
                answers = Answers(self._starter.spawner, "take_context", args, [theirs.fileno()])
            try:
                yield Upload(ours, answers)
            finally:
                ours.close()
                await answers.end()
                answers.close()

    async def read(self, *paths: str) -> list[bytes | None]:
        """Return small files of the context, None for one that is not there.

        Raises
        ------
        InvalidArgument
            One is no file, or too large for a Dockerfile.
        """
        args = {**self.context, "paths": paths, "limit_bytes": _MAX_TEXT_BYTES}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        with ours:
            with theirs:
                answers = Answers(self._starter.spawner, "read_context", args, [theirs.fileno()])
            data = b""
            while piece := await asyncio.get_running_loop().sock_recv(ours, _CHUNK_BYTES):
                data += piece
            try:
                sizes = (await answers.next_json())["sizes"]
            finally:
                answers.close()
        texts: list[bytes | None] = []
        for size in sizes:
            texts.append(None if size < 0 else data[:size])
            data = data[max(0, size) :]
        return texts

    async def leave_out(self, paths: Sequence[str]) -> None:
        """Remove files of the context."""
        await self._ask("remove_from_context", {**self.context, "paths": list(paths)})

    def keep_texts(self, texts: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Write the texts of heredocs to files by their names; return them as a source."""
        folder = self._next("texts")
        folder.mkdir(mode=0o755)
        for name, text in texts:
            (folder / name).write_bytes(text.encode())
            (folder / name).chmod(0o644)
        return {"folder": str(folder)}

    # Images

    @asynccontextmanager
    async def image_root(self, layers: Sequence[Digest]) -> AsyncIterator[dict[str, Any]]:
        """Give an image a writable part for the block; see `containerroot.enter`.

        Raises
        ------
        Unsupported
            This tier mounts no layers.
        """
        folder = ContainerFolder(self._next("root"), self._path)
        folder.make()
        container = Container(
            id=ContainerId(secrets.token_hex(32)),
            name="",
            image_id=Digest(""),
            created_at=datetime.now(UTC),
            config=ContainerConfig(image=""),
            host=HostConfig(),
            layers=tuple(layers),
        )
        overlay = self._starter.launching.overlay(container, folder)
        try:
            yield {"overlay": overlay, "mount_point": str(folder.rootfs), "mounts": []}
        finally:
            await asyncio.to_thread(self._starter.spawner.remove_tree, str(folder.path))

    # Copying

    async def find(
        self, source: dict[str, Any], patterns: Sequence[str], *, finds_archives: bool
    ) -> list[Found]:
        """Return what patterns mean in a source, in their order."""
        args = {"source": source, "patterns": list(patterns), "finds_archives": finds_archives}
        answers = Answers(self._starter.spawner, "find_sources", args, [])
        found = []
        try:
            while message := await answers.next_json():
                found.append(Found(**message))
        finally:
            await answers.end()
            answers.close()
        return found

    async def copy(
        self, source: dict[str, Any], found: Found, root: dict[str, Any], placement: Placement
    ) -> None:
        """Put a source into an image's root.

        Raises
        ------
        InvalidArgument
            The target cannot be a folder, an owner is unknown, an archive is damaged.
        EngineFailure
            The disk is full, or the kernel refuses.
        """
        spawner = self._starter.spawner
        is_lone = not (found.is_folder or found.is_archive)
        packs = {"source": source, "path": found.path, "is_archive": found.is_archive}
        places = {
            "root": root,
            "target": placement.target,
            "name": found.path.rpartition("/")[2] if is_lone else "",
            "is_inside": placement.is_inside,
            "owner": placement.owner,
            "keeps_owners": placement.keeps_owners or found.is_archive,
            "mode": placement.mode,
            "userxattr": self.is_rootless,
        }
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        async with AsyncExitStack() as stack:
            with near, far:
                packing = await _doing(
                    stack, Answers(spawner, "pack_source", packs, [near.fileno()])
                )
                placing = await _doing(
                    stack, Answers(spawner, "place_source", places, [far.fileno()])
                )
            packed, placed = await packing.next(), await placing.next()
        # Whoever packs for one who is gone ends without a word: then the other one knows why.
        for data in filter(None, (packed, placed)):
            message = json.loads(data)
            if "error" in message:
                raise failure(message)
        if not placed:
            raise EngineFailure("the copying was interrupted", "the engine's log says why")

    async def make_folder(self, root: dict[str, Any], path: str) -> None:
        """Make a folder in an image's root, with those above it."""
        await self._ask("make_folder", {"root": root, "path": path})

    async def _ask(self, job: str, args: dict[str, Any]) -> None:
        answers = Answers(self._starter.spawner, job, args, [])
        try:
            await answers.next_json()
        finally:
            await answers.end()
            answers.close()

    def _next(self, kind: str) -> Path:
        self._serial += 1
        return self._path / f"{kind}-{self._serial}"


async def _doing(stack: AsyncExitStack, answers: Answers) -> Answers:
    """Have the end of the block wait for the end of a child, and so of what it has mounted."""
    stack.callback(answers.close)
    stack.push_async_callback(answers.end)
    return answers


def layers_of(image: Image | None) -> tuple[Digest, ...]:
    """Return the layers of an image, none for ``scratch``."""
    return image.config.rootfs.diff_ids if image else ()
