"""The keeper of builds: takes a context, has the Dockerfile carried out, and names the image."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dockerlab.engine.archives import Upload
from dockerlab.engine.bases import Bases
from dockerlab.engine.build import BuildRequest, Tell
from dockerlab.engine.buildfiles import BuildFolder
from dockerlab.engine.building import Building, Crew
from dockerlab.engine.buildrun import Runner
from dockerlab.engine.buildsteps import Steps
from dockerlab.engine.commit import Commits
from dockerlab.engine.folders import Folders
from dockerlab.engine.image import Image
from dockerlab.engine.pulls import Pulls
from dockerlab.engine.roster import Roster
from dockerlab.errors import InvalidArgument, NotFound
from dockerlab.image.build.dockerfile import parse_dockerfile
from dockerlab.image.build.ignore import ignored, read_patterns
from dockerlab.image.build.instructions import Dockerfile
from dockerlab.oci.digest import short
from dockerlab.oci.reference import Reference, parse_reference

__all__ = ["Build", "Builds"]

_log = logging.getLogger("dockerlab.engine")

_IGNORE = ".dockerignore"
_EPOCH = "SOURCE_DATE_EPOCH"
# The year 9999: what a timestamp can say.
_MAX_EPOCH_S = 253_402_300_799


@dataclass(frozen=True, slots=True)
class Build:
    """A build whose context is being taken; from `Builds.open`."""

    request: BuildRequest
    folder: BuildFolder
    _builds: "Builds"

    @asynccontextmanager
    async def upload(self) -> AsyncIterator[Upload]:
        """Take the context."""
        async with self.folder.upload() as upload:
            yield upload

    async def run(self, tell: Tell) -> Image:
        """Build, with the context complete; see `Builds.run`."""
        return await self._builds.run(self, tell)


class Builds:
    """Builds images. Cancelling the task that does ends a build."""

    def __init__(self, folders: Folders, commits: Commits, pulls: Pulls, roster: Roster) -> None:
        self._folders = folders
        self._commits = commits
        self._pulls = pulls
        self._runner = Runner(commits.containers, commits.lives, roster, commits)
        self.running = 0

    @classmethod
    def open_folder(
        cls, folders: Folders, commits: Commits, pulls: Pulls, roster: Roster
    ) -> "Builds":
        """Return the keeper of a data root, with what a crash has left there deleted."""
        for path in folders.builds.iterdir():
            commits.starter.spawner.remove_tree(str(path))
        return cls(folders, commits, pulls, roster)

    @asynccontextmanager
    async def open(self, request: BuildRequest) -> AsyncIterator[Build]:
        """Give a build its folder for the block.

        Raises
        ------
        InvalidArgument, BadReference
            A tag is no reference, or has a digest.
        """
        _parse_tags(request.tags)
        folder = BuildFolder(self._folders.builds / secrets.token_hex(8), self._commits.starter)
        folder.make()
        self.running += 1
        try:
            yield Build(request, folder, self)
        finally:
            removal = self._commits.lives.in_background(asyncio.to_thread(folder.remove))
            removal.add_done_callback(self._ended)
            await asyncio.shield(removal)

    def _ended(self, removal: "asyncio.Task[None]") -> None:
        self.running -= 1
        if not removal.cancelled() and (error := removal.exception()) is not None:
            _log.warning("the folder of a build stays until the next start: %s", error)

    async def run(self, build: Build, tell: Tell) -> Image:
        """Carry out the Dockerfile of a context.

        Raises
        ------
        InvalidArgument, NotFound
            No Dockerfile, one that cannot be read, or a step that cannot be done.
        CommandFailed
            A command of it failed.
        """
        request, images = build.request, self._commits.keeper.images
        dockerfile = await _read_dockerfile(build.folder, request.dockerfile)
        bases = Bases(images, self._pulls, tell, request.pull, request.credentials)
        found = [bases.find_here(name) for name in request.cache_from]
        steps = Steps(
            images,
            self._commits.keeper,
            tell,
            uses_cache=not request.no_cache and (not found or any(found)),
            sources=[image for image in found if image is not None],
            epoch_s=_epoch(request.build_args.get(_EPOCH)),
        )
        crew = Crew(build.folder, self._commits, self._runner, steps)
        image = await Building(request, dockerfile, bases, crew, tell).run()
        await tell(f"Successfully built {short(image.id)}\n")
        for reference in _parse_tags(request.tags):
            await images.tag(image.id, reference.name, reference.tag)
            await tell(f"Successfully tagged {reference.familiar}\n")
        return image


async def _read_dockerfile(folder: BuildFolder, path: str) -> Dockerfile:
    """Parse the Dockerfile, and take out of the context what only the client needed to send."""
    if path.startswith("/") or ".." in path.split("/"):
        raise InvalidArgument(f"the Dockerfile ({path}) must be within the build context")
    dockerfile, ignore = await folder.read(path, _IGNORE)
    if dockerfile is None:
        raise NotFound(f"Cannot locate specified Dockerfile: {path}")
    if not dockerfile.strip():
        raise InvalidArgument(f"the Dockerfile ({path}) cannot be empty")
    if ignore is not None:
        patterns = await asyncio.to_thread(read_patterns, ignore.decode("utf-8", "replace"))
        unwanted = [name for name in (_IGNORE, path) if ignored(name, patterns)]
        if unwanted:
            await folder.leave_out(unwanted)
    return parse_dockerfile(dockerfile)


def _parse_tags(tags: tuple[str, ...]) -> list[Reference]:
    references = [parse_reference(tag) for tag in tags]
    for reference in references:
        if reference.digest:
            raise InvalidArgument("build tag cannot contain a digest")
    return list(dict.fromkeys(references))


def _epoch(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or int(text[:20]) > _MAX_EPOCH_S:
        raise InvalidArgument(f'{_EPOCH} is seconds since 1970, not "{text[:40]}"')
    return int(text)
