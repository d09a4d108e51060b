"""Routes of images: pull, list, inspect, history, tag, remove."""

import asyncio
from http import HTTPStatus

from dockerlab.daemon.handler import ApiHandler, message_of
from dockerlab.daemon.jsonstream import Stream
from dockerlab.daemon.shapes import image as shape
from dockerlab.daemon.shapes.registry import credential_from_header
from dockerlab.engine.image import PullProgress
from dockerlab.engine.registry import Credential
from dockerlab.errors import (
    DockerlabError,
    EngineFailure,
    InvalidArgument,
    Unauthorized,
    Unsupported,
)
from dockerlab.oci.reference import names_one

__all__ = ["ROUTES"]

_NAME = r"(?P<name>.+)"


class ImageCreate(ApiHandler):
    """``POST /images/create``."""

    async def post(self) -> None:
        """Pull an image, writing one line of JSON a step."""
        query = self.query
        if query.text("fromSrc"):
            raise Unsupported("importing an image is not supported by this version of dockerlab")
        reference = _with_tag(query.text("fromImage"), query.text("tag"))
        credential = credential_from_header(self.request.headers.get("X-Registry-Auth", ""))
        await self.while_connected(self._pull(reference, query.text("platform"), credential))

    async def _pull(self, reference: str, platform: str, credential: Credential | None) -> None:
        pending, pulls = _Pending(), self.engine.pulls
        # Engine API, /images/create, `tag`: "If empty … all tags".
        pull = pulls.pull if names_one(reference) else pulls.pull_all
        work = asyncio.ensure_future(
            pull(reference, platform=platform, emit=pending.add, credential=credential)
        )
        work.add_done_callback(lambda _: pending.close())
        stream = Stream(self)
        is_begun = False
        try:
            while lines := await pending.take():
                if not is_begun:
                    is_begun = True
                    self.set_header("Content-Type", "application/json")
                    await stream.begin()
                for progress in lines:
                    await stream.write_json(shape.progress_line(progress))
            await work
        except DockerlabError as exc:
            if not is_begun and isinstance(exc, Unauthorized):
                # dockerd's status. At 401 the docker client asks for a password, and for ever where
                # nobody can answer.
                raise EngineFailure(exc.message, exc.hint) from exc
            if not is_begun:
                raise
            # The status is sent already (Engine API, CreateImageInfo, error).
            text = message_of(exc)
            await stream.write_json({"errorDetail": {"message": text}, "error": text})
        finally:
            work.cancel()


class _Pending:
    """Lines of progress that the client did not get yet, bounded by layers times words.

    Of a layer that goes on downloading only the newest number is of interest: for a client that
    reads slowly it takes the place of the last one.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, int], PullProgress] = {}
        self._serial = 0
        self._is_closed = False
        self._changed = asyncio.Event()

    def add(self, progress: PullProgress) -> None:
        """Take a line; one with newer numbers takes the place of the one before."""
        key = (progress.id, progress.status, 0)
        if progress.current is None:
            self._serial += 1
            key = (progress.id, progress.status, self._serial)
        self._lines[key] = progress
        self._changed.set()

    def close(self) -> None:
        """Say that there will be no more."""
        self._is_closed = True
        self._changed.set()

    async def take(self) -> list[PullProgress]:
        """Wait for lines; none means that there will be no more."""
        while not self._lines and not self._is_closed:
            self._changed.clear()
            await self._changed.wait()
        lines = list(self._lines.values())
        self._lines.clear()
        return lines


class ImageList(ApiHandler):
    """``GET /images/json``."""

    def get(self) -> None:
        """List images, newest first."""
        query = self.query
        filters = query.filters()
        name = query.text("filter")
        if name:  # until 1.40 (Engine API, version history)
            filters["reference"] = [name]
        images = self.engine.images.list(include_intermediate=query.boolean("all"), filters=filters)
        shared = self.engine.images.shared_bytes() if query.boolean("shared-size") else {}
        self.write_json(
            [
                shape.summary(image, container_count=-1, shared_bytes=shared.get(image.id, -1))
                for image in images
            ]
        )


class ImageInspect(ApiHandler):
    """``GET /images/{name}/json``."""

    def get(self, name: str) -> None:
        """Describe one image."""
        self.write_json(shape.inspection(self.engine.images.get(name)))


class ImageHistory(ApiHandler):
    """``GET /images/{name}/history``."""

    def get(self, name: str) -> None:
        """List how its layers came to be, newest first."""
        self.write_json([shape.history_line(line) for line in self.engine.images.history(name)])


class ImageTag(ApiHandler):
    """``POST /images/{name}/tag``."""

    async def post(self, name: str) -> None:
        """Give it one more reference."""
        query = self.query
        repository = query.text("repo")
        if not repository:
            raise InvalidArgument('the parameter "repo" is missing: it names the new repository')
        await self.engine.images.tag(name, repository, query.text("tag") or "latest")
        self.set_status(HTTPStatus.CREATED)


class ImageRemove(ApiHandler):
    """``DELETE /images/{name}``."""

    async def delete(self, name: str) -> None:
        """Untag it, and delete it with its last reference."""
        query = self.query
        removed = await self.engine.images.remove(
            name, force=query.boolean("force"), prune=not query.boolean("noprune")
        )
        self.write_json([shape.removal(line) for line in removed])


class ImagePrune(ApiHandler):
    """``POST /images/prune``."""

    async def post(self) -> None:
        """Remove images that no container has."""
        done = await self.engine.images.prune(self.query.filters())
        removed = [shape.removal(line) for line in done.removals]
        self.write_json({"ImagesDeleted": removed or None, "SpaceReclaimed": done.freed_bytes})


def _with_tag(name: str, tag: str) -> str:
    # Engine API, /images/create, `tag`: "Tag or digest".
    if not name:
        raise InvalidArgument('the parameter "fromImage" is missing: it names the image to pull')
    if not tag:
        return name
    return f"{name}@{tag}" if tag.startswith("sha256:") else f"{name}:{tag}"


ROUTES = (
    (r"/images/create", ImageCreate),
    (r"/images/json", ImageList),
    (r"/images/prune", ImagePrune),
    (rf"/images/{_NAME}/json", ImageInspect),
    (rf"/images/{_NAME}/history", ImageHistory),
    (rf"/images/{_NAME}/tag", ImageTag),
    (rf"/images/{_NAME}", ImageRemove),
)
