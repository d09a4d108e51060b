"""Routes by which images come and go: pull, import, load, save, push; and search."""

import asyncio
from collections.abc import Callable
from typing import Any

from tornado.web import stream_request_body

from dockerlab.daemon.downloads import send_archive
from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.progress import Pending, stream_progress
from dockerlab.daemon.shapes.registry import credential_from_header, search_filter
from dockerlab.daemon.uploads import UploadHandler
from dockerlab.engine.image import ImportRequest, PullProgress
from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.oci.reference import names_one

__all__ = ["ROUTES"]

_NAME = r"(?P<name>.+)"
_FROM_BODY = "-"
# Docker's.
_SEARCH_LIMIT, _MAX_SEARCH_LIMIT = 25, 100


@stream_request_body
class ImageCreate(UploadHandler):
    """``POST /images/create``."""

    _importing: "asyncio.Future[Any] | None" = None

    def prepare(self) -> None:
        """Begin to import before the first byte of the archive is read."""
        super().prepare()
        query = self.query
        source = query.text("fromSrc")
        if source and source != _FROM_BODY:
            raise Unsupported(
                "an image cannot be imported from an address by this engine: fetch it, as in"
                " `curl URL | docker import -`"
            )
        if not source:
            return
        lines = [line for text in query.texts("changes") for line in text.split("\n")]
        request = ImportRequest(
            repository=query.text("repo"),
            tag=query.text("tag"),
            message=query.text("message"),
            changes=tuple(lines),
            platform=query.text("platform"),
        )
        self._importing = self.open_body(lambda fd: self.engine.transfers.import_root(fd, request))

    async def post(self) -> None:
        """Pull an image, writing one line of JSON a step; or answer when one is imported."""
        if self._importing is not None:
            self.close_body()
            image = await self._importing
            self.write_json({"status": image.id})
            return
        query = self.query
        reference = _with_tag(query.text("fromImage"), query.text("tag"))
        credential = credential_from_header(self.request.headers.get("X-Registry-Auth", ""))
        platform, pulls = query.text("platform"), self.engine.pulls
        # Engine API, /images/create, `tag`: "If empty … all tags".
        begin = pulls.pull if names_one(reference) else pulls.pull_all

        async def pull(emit: Callable[[PullProgress], None]) -> None:
            """Pull."""
            await begin(reference, platform=platform, emit=emit, credential=credential)

        await self.while_connected(stream_progress(self, pull))


class ImagePush(ApiHandler):
    """``POST /images/{name}/push``."""

    async def post(self, name: str) -> None:
        """Push a tag, or all tags of a repository, writing one line of JSON a step."""
        credential = credential_from_header(self.request.headers.get("X-Registry-Auth", ""))
        tag = self.query.text("tag")

        async def push(emit: Callable[[PullProgress], None]) -> None:
            """Push."""
            await self.engine.pushes.push(name, tag, emit=emit, credential=credential)

        await self.while_connected(stream_progress(self, push))


class ImageSearch(ApiHandler):
    """``GET /images/search``."""

    async def get(self) -> None:
        """List the repositories of a registry for a term."""
        query = self.query
        term = query.text("term")
        if not term:
            raise InvalidArgument('the parameter "term" is missing: it says what to search for')
        limit = query.number("limit") or _SEARCH_LIMIT
        if not 1 <= limit <= _MAX_SEARCH_LIMIT:
            raise InvalidArgument(f"limit {limit} is outside the range of [1, {_MAX_SEARCH_LIMIT}]")
        keeps = search_filter(query.filters())
        credential = credential_from_header(self.request.headers.get("X-Registry-Auth", ""))
        found = await self.engine.pushes.search(term, limit=limit, credential=credential)
        self.write_json([result for result in found if keeps(result)])


@stream_request_body
class ImageLoad(UploadHandler):
    """``POST /images/load``."""

    def prepare(self) -> None:
        """Begin to read before the first byte is here."""
        super().prepare()
        self._pending = Pending()
        self._loading = self.open_body(lambda fd: self.engine.transfers.load(fd, self._pending.add))

    async def post(self) -> None:
        """Tell what was loaded, when everything has been sent."""
        self.close_body()
        is_quiet = self.query.boolean("quiet")

        async def tell(emit: Callable[[PullProgress], None]) -> list[dict[str, Any]]:
            """Wait for the rest."""
            self._pending.close()
            told = await self._loading
            for line in [] if is_quiet else await self._pending.take():
                emit(line)
            return [{"stream": f"{sentence}\n"} for sentence in told]

        await stream_progress(self, tell)


class ImagesGet(ApiHandler):
    """``GET /images/get``."""

    async def get(self) -> None:
        """Write an archive of images."""
        names = [name for text in self.query.texts("names") for name in text.split(",")]
        await send_archive(self, self.engine.transfers.save(names))


class ImageGet(ApiHandler):
    """``GET /images/{name}/get``."""

    async def get(self, name: str) -> None:
        """Write an archive of one image."""
        await send_archive(self, self.engine.transfers.save([name]))


def _with_tag(name: str, tag: str) -> str:
    # Engine API, /images/create, `tag`: "Tag or digest".
    if not name:
        raise InvalidArgument('the parameter "fromImage" is missing: it names the image to pull')
    if not tag:
        return name
    return f"{name}@{tag}" if tag.startswith("sha256:") else f"{name}:{tag}"


ROUTES = (
    (r"/images/search", ImageSearch),
    (rf"/images/{_NAME}/push", ImagePush),
    (r"/images/create", ImageCreate),
    (r"/images/load", ImageLoad),
    (r"/images/get", ImagesGet),
    (rf"/images/{_NAME}/get", ImageGet),
)
