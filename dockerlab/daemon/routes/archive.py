"""Routes of a container's files: archives out of it and into it, its changes, its export.

Archives stream: no more of them is in memory than a chunk.
"""

import asyncio
import base64
import logging
from contextlib import AsyncExitStack

import msgspec
from tornado.web import stream_request_body

from dockerlab.daemon.backend import Upload
from dockerlab.daemon.downloads import send_archive
from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.shapes.pathstat import path_stat
from dockerlab.daemon.uploads import lift_body_limit
from dockerlab.errors import InvalidArgument

__all__ = ["ROUTES"]

_log = logging.getLogger("dockerlab.daemon")

_NAME = r"(?P<name>[^/]+)"
_STAT_HEADER = "X-Docker-Container-Path-Stat"


@stream_request_body
class Archive(ApiHandler):
    """``HEAD``, ``GET`` and ``PUT /containers/{id}/archive``."""

    _upload: Upload | None = None
    _error: Exception | None = None
    _is_received = False

    async def prepare(self) -> None:  # type: ignore[override] # Tornado awaits it
        """Begin to take an archive before its first byte is read."""
        super().prepare()
        self._stack = AsyncExitStack()
        if self.request.method != "PUT":
            return
        lift_body_limit(self)
        query = self.query
        opened = self.engine.archives.upload(
            self.path_kwargs["name"],
            self._path(),
            keeps_kinds=query.boolean("noOverwriteDirNonDir"),
            as_user=query.boolean("copyUIDGID"),
        )
        try:
            self._upload = await self._stack.enter_async_context(opened)
        except Exception as exc:  # noqa: BLE001 - raised again behind the body, which has to be read
            # A client that sends has no ear for an answer before it has sent everything.
            self._error = exc

    async def data_received(self, chunk: bytes) -> None:
        """Hand on a piece of the body."""
        if self._upload is not None:
            await self._upload.write(chunk)

    async def put(self, name: str) -> None:
        """Answer when everything is unpacked."""
        del name
        self._is_received = True
        async with self._stack:
            if self._error is not None:
                raise self._error
            if self._upload is not None:
                await self._upload.finish()

    async def head(self, name: str) -> None:
        """Tell of a path."""
        facts = await self.engine.archives.stat(name, self._path())
        self.set_header(_STAT_HEADER, _encoded(path_stat(facts)))

    async def get(self, name: str) -> None:
        """Write an archive of a path."""
        async with self.engine.archives.download(name, self._path()) as (facts, pieces):
            self.set_header(_STAT_HEADER, _encoded(path_stat(facts)))
            await send_archive(self, pieces)

    def on_connection_close(self) -> None:
        """Have the child end that unpacks for a client that is gone."""
        super().on_connection_close()
        if self._upload is not None and not self._is_received:
            closing = asyncio.ensure_future(self._stack.aclose())
            closing.add_done_callback(_look_at)

    def _path(self) -> str:
        path = self.query.text("path")
        if not path or "\0" in path:
            raise InvalidArgument("bad parameter: path cannot be empty")
        return path


class Changes(ApiHandler):
    """``GET /containers/{id}/changes``."""

    async def get(self, name: str) -> None:
        """List what the container has changed."""
        found = await self.engine.archives.changes(name)
        self.write_json([{"Path": c.path, "Kind": c.kind} for c in found] or None)


class Export(ApiHandler):
    """``GET /containers/{id}/export``."""

    async def get(self, name: str) -> None:
        """Write an archive of the whole root."""
        async with self.engine.archives.export(name) as pieces:
            await send_archive(self, pieces)


def _look_at(closed: "asyncio.Future[None]") -> None:
    if not closed.cancelled() and (error := closed.exception()) is not None:
        _log.info("an archive that a client has left: %s", error)


def _encoded(shape: dict[str, object]) -> str:
    return base64.b64encode(msgspec.json.encode(shape)).decode("ascii")


ROUTES = (
    (rf"/containers/{_NAME}/archive", Archive),
    (rf"/containers/{_NAME}/changes", Changes),
    (rf"/containers/{_NAME}/export", Export),
)
