"""Responses that are written while the work goes on: JSON lines, and log frames.

It does not know what the lines mean. Read `Stream`, then `frame`.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from tornado.iostream import StreamClosedError

from dockerlab.daemon.handler import ApiHandler

__all__ = ["MULTIPLEXED_STREAM", "RAW_STREAM", "STDERR", "STDOUT", "Stream", "closing", "frame"]

_T = TypeVar("_T")

RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"

STDOUT = 1
STDERR = 2

_HIGH_WATER_BYTES = 64 << 10


def frame(stream: int, payload: bytes) -> bytes:
    r"""Put the 8-byte head before a payload (Engine API, /containers/{id}/attach, "Stream format").

    Examples
    --------
    >>> frame(STDOUT, b"hi")
    b'\x01\x00\x00\x00\x00\x00\x00\x02hi'
    """
    return struct.pack(">BxxxL", stream, len(payload)) + payload


@asynccontextmanager
async def closing(records: AsyncIterator[_T]) -> AsyncIterator[AsyncIterator[_T]]:
    """Close an iterator at the end of the block, also when it was left in the middle.

    Otherwise the files and watches that it holds wait for the collector.
    """
    try:
        yield records
    finally:
        close: Callable[[], Awaitable[None]] | None = getattr(records, "aclose", None)
        if close is not None:
            await close()


class Stream:
    """A chunked response that is sent in the loop's pauses.

    A producer that has much to say at once fills one chunk; one that waits has each word sent
    before it waits. Memory is bounded: above 64 KiB `write` waits for the client.
    """

    def __init__(self, handler: ApiHandler) -> None:
        self._handler = handler
        self._pending_bytes = 0
        self._sent: Awaitable[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def begin(self) -> None:
        """Send the head at once: clients wait for it before they go on."""
        await self._handler.flush()

    async def write_json(self, value: object) -> None:
        """Write one line of JSON."""
        await self.write(msgspec.json.encode(value) + b"\r\n")

    async def write(self, data: bytes) -> None:
        """Write bytes.

        Raises
        ------
        StreamClosedError
            The client is gone.
        """
        if not data:
            return
        self._handler.write(data)
        if not self._pending_bytes:
            self._loop.call_soon(self._flush)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _HIGH_WATER_BYTES:
            self._flush()
            if self._sent is not None:
                await self._sent

    def _flush(self) -> None:
        if not self._pending_bytes or self._handler.is_finished:
            return
        self._pending_bytes = 0
        sent = self._handler.flush()
        sent.add_done_callback(_look_at)
        self._sent = sent


def _look_at(sent: "asyncio.Future[None]") -> None:
    # A client that went away is seen by the next write that waits, or by the handler's close hook.
    if not sent.cancelled() and not isinstance(sent.exception(), StreamClosedError | None):
        sent.result()
