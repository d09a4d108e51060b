"""The route that builds: the context streams in, lines about the steps stream out."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

from tornado.web import stream_request_body

from dockerlab.daemon.backend import Build, Upload
from dockerlab.daemon.handler import ApiHandler, message_of
from dockerlab.daemon.jsonstream import Stream
from dockerlab.daemon.shapes import image as shape
from dockerlab.daemon.shapes.build import build_request
from dockerlab.daemon.uploads import lift_body_limit
from dockerlab.engine.image import PullProgress
from dockerlab.errors import CommandFailed, DockerlabError

__all__ = ["ROUTES"]

_log = logging.getLogger("dockerlab.daemon")


@stream_request_body
class BuildImage(ApiHandler):
    """``POST /build``."""

    _upload: Upload | None = None
    _build: Build | None = None
    _error: Exception | None = None
    _is_received = False

    async def prepare(self) -> None:  # type: ignore[override] # Tornado awaits it
        """Begin to take the context before its first byte is read."""
        super().prepare()
        self._stack = AsyncExitStack()
        self._receiving = AsyncExitStack()
        lift_body_limit(self)
        try:
            header = self.request.headers.get("X-Registry-Config", "")
            request = build_request(self.query, header)
            opened = self.engine.builds.open(request)
            self._build = await self._stack.enter_async_context(opened)
            self._upload = await self._receiving.enter_async_context(self._build.upload())
        except Exception as exc:  # noqa: BLE001 - raised again behind the body, which has to be read
            # A client that sends has no ear for an answer before it has sent everything.
            self._error = exc

    async def data_received(self, chunk: bytes) -> None:
        """Hand on a piece of the context."""
        if self._upload is not None:
            await self._upload.write(chunk)

    async def post(self) -> None:
        """Build what was received."""
        self._is_received = True
        async with self._stack:
            async with self._receiving:
                if self._error is not None:
                    raise self._error
                if self._upload is not None:
                    await self._upload.finish()
            if self._build is not None:
                await self.while_connected(self._run(self._build))

    async def _run(self, build: Build) -> None:
        lines = _Lines(self, is_quiet=self.query.boolean("q"))
        try:
            image = await build.run(lines.tell)
            await lines.end(image.id)
        except DockerlabError as exc:
            if not lines.is_begun:
                raise
            # The status is sent already (Engine API, BuildInfo, errorDetail).
            text = message_of(exc)
            detail: dict[str, Any] = {"message": text}
            if isinstance(exc, CommandFailed):
                detail = {"code": exc.exit_code, "message": text}
            await lines.write({"errorDetail": detail, "error": text})

    def on_connection_close(self) -> None:
        """Let go of a context whose client has left."""
        super().on_connection_close()
        if not self._is_received:
            closing = asyncio.ensure_future(self._close())
            closing.add_done_callback(_look_at)

    async def _close(self) -> None:
        async with self._stack:
            await self._receiving.aclose()


class _Lines:
    """What a client is told; the head of the response is sent with the first line."""

    def __init__(self, handler: ApiHandler, *, is_quiet: bool) -> None:
        self._handler = handler
        self._stream = Stream(handler)
        self._is_quiet = is_quiet
        self.is_begun = False

    async def tell(self, line: str | PullProgress) -> None:
        """Write a text, or a line of a pull; a quiet build says nothing on the way."""
        if self._is_quiet:
            return
        await self.write(
            shape.progress_line(line) if isinstance(line, PullProgress) else {"stream": line}
        )

    async def end(self, image_id: str) -> None:
        """Say which image was built."""
        if self._is_quiet:
            await self.write({"stream": f"{image_id}\n"})
        else:
            await self.write({"aux": {"ID": image_id}})

    async def write(self, value: dict[str, Any]) -> None:
        """Write a line."""
        if not self.is_begun:
            self.is_begun = True
            self._handler.set_header("Content-Type", "application/json")
            await self._stream.begin()
        await self._stream.write_json(value)


def _look_at(closed: "asyncio.Future[None]") -> None:
    if not closed.cancelled() and (error := closed.exception()) is not None:
        _log.info("a context that a client has left: %s", error)


ROUTES = ((r"/build", BuildImage),)
