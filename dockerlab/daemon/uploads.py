"""A request's body as a stream that a thread of the engine reads from a descriptor.

No more of it is in memory than a chunk: a slow reader makes the client wait.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tornado.http1connection import HTTP1Connection

from dockerlab.daemon.handler import ApiHandler

__all__ = ["UploadHandler", "lift_body_limit"]

T = TypeVar("T")

# Larger than any body: the limit of the server is for those that are kept in memory.
_NO_LIMIT = 1 << 62


def lift_body_limit(handler: ApiHandler) -> None:
    """Let a body be of any size, from `prepare`: it is handed on piece by piece."""
    connection = handler.request.connection
    if isinstance(connection, HTTP1Connection):
        connection.set_max_body_size(_NO_LIMIT)


class UploadHandler(ApiHandler):
    """Base of handlers whose body is an archive; they are decorated with `stream_request_body`."""

    _stream: socket.socket | None = None
    _reader: "asyncio.Future[Any] | None" = None

    def open_body(self, read: Callable[[int], Coroutine[Any, Any, T]]) -> "asyncio.Future[T]":
        """Begin to take the body, from `prepare`.

        Parameters
        ----------
        read : callable
            Begins what reads the body, from a descriptor that it closes; it is cancelled when the
            client goes away in the middle.
        """
        lift_body_limit(self)
        self._stream, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stream.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        reader = asyncio.ensure_future(read(theirs.detach()))
        reader.add_done_callback(_look_at)
        self._reader = reader
        return reader

    async def data_received(self, chunk: bytes) -> None:
        """Hand on a piece of the body; what the reader does not want is dropped."""
        if self._stream is None:
            return
        try:
            await asyncio.get_running_loop().sock_sendall(self._stream, chunk)
        except OSError:
            self.close_body()

    def close_body(self) -> None:
        """Say that there is no more."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def on_connection_close(self) -> None:
        """End the stream of a client that is gone: what it sent is no whole archive."""
        super().on_connection_close()
        if self._stream is not None and self._reader is not None:
            self._reader.cancel()
        self.close_body()


def _look_at(work: "asyncio.Future[Any]") -> None:
    # Of a client that went away nobody asks for the error any more.
    if not work.cancelled():
        work.exception()
