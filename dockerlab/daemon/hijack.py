"""Connections that stop being HTTP: attach and exec take the raw socket.

Engine API, /containers/{id}/attach, "Hijacking". What is done with the socket afterwards is the
engine's. Read `HijackHandler.take_over`, then `ClientStream`.
"""

import asyncio
import fcntl
import logging
import socket
import struct
import termios
from http import HTTPStatus
from typing import NamedTuple

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream, StreamClosedError

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.jsonstream import MULTIPLEXED_STREAM, RAW_STREAM
from dockerlab.errors import InvalidArgument

__all__ = ["ClientStream", "HijackHandler", "Hijacked", "hold_for_hijack"]

_log = logging.getLogger("dockerlab.daemon")

# The content type of multiplexed streams (Engine API, version history, 1.42).
_MULTIPLEXED_SINCE = "1.42"

_HEAD_READ_S = 0.1
_HEAD_POLL_S = 0.0005


class Hijacked(NamedTuple):
    """A raw, non-blocking socket, and what the client sent behind its request."""

    connection: socket.socket
    leftover: bytes


class ClientStream(IOStream):
    """A client's connection whose descriptor can outlive a close by Tornado.

    Tornado takes the end of a client's input for the end of the connection. For a client that has
    no standard input to send, that end may arrive right behind its request, before the handler ran:
    the socket is held until the handler has taken it, or has answered.
    """

    _is_held = False

    def hold(self) -> None:
        """Keep the descriptor when the stream is closed."""
        self._is_held = True

    def let_go(self) -> None:
        """End `hold`."""
        self._is_held = False
        if self.closed() and self.socket is not None:
            super().close_fd()

    def close_fd(self) -> None:
        """Close the descriptor; called by Tornado's `close` only."""
        if not self._is_held:
            super().close_fd()

    def take(self) -> Hijacked:
        """Leave with the socket and with the bytes that were already read; closes the stream.

        The socket is duplicated, so that closing the stream, which also takes it out of the loop,
        leaves the connection open.
        """
        connection = self.socket.dup()
        leftover = b""
        try:
            reading = asyncio.ensure_future(self.read_bytes(self.max_buffer_size, partial=True))
            if reading.done():
                leftover = reading.result()
        except StreamClosedError:
            _log.debug("the client had closed its side before the hijack")
        self.let_go()
        self.close()
        return Hijacked(connection, leftover)


class HijackHandler(ApiHandler):
    """Base of the handlers that take the connection over."""

    def on_finish(self) -> None:
        """Give the connection back to Tornado: the request got an ordinary answer."""
        super().on_finish()
        stream = _stream_of(self.request)
        if stream is not None:
            stream.let_go()

    def take_over(self, *, is_multiplexed: bool) -> Hijacked:
        """Send the head of the response and leave HTTP.

        There must be no `await` between the beginning of the handler and this call: bytes that come
        in the meantime would grow the buffer, and an end of input would close the stream.

        Raises
        ------
        InvalidArgument
            The connection is not one of ours.
        """
        stream = _stream_of(self.request)
        if stream is None:
            raise InvalidArgument("this connection cannot be hijacked")
        self.detach()
        hijacked = stream.take()
        self.leave()
        try:
            # A client that has read its earlier responses has room for these few bytes.
            hijacked.connection.sendall(self._head(is_multiplexed=is_multiplexed))
        except OSError as exc:
            _log.debug("%s: the client is gone: %s", self.request.path, exc)
        return hijacked

    async def until_head_is_read(self, connection: socket.socket) -> None:
        """Wait, a moment at most, until the client has taken the head off the socket.

        docker-py reads the head through a buffer and drops what it swallowed together with it: the
        output of a program that speaks within a millisecond would be lost. Only for streams that
        are already there; before a start a client has read the head anyway.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HEAD_READ_S
        while _unread_bytes(connection) and loop.time() < deadline:  # noqa: ASYNC110 - no event
            await asyncio.sleep(_HEAD_POLL_S)

    def _head(self, *, is_multiplexed: bool) -> bytes:
        is_named = is_multiplexed and self.is_at_least(_MULTIPLEXED_SINCE)
        lines = [f"Content-Type: {MULTIPLEXED_STREAM if is_named else RAW_STREAM}"]
        if self.request.headers.get("Upgrade"):
            lines[:0] = [f"HTTP/1.1 {HTTPStatus.SWITCHING_PROTOCOLS} UPGRADED"]
            lines += ["Connection: Upgrade", "Upgrade: tcp"]
        else:
            lines[:0] = [f"HTTP/1.1 {HTTPStatus.OK} OK"]
        kept = ("Api-Version", "Docker-Experimental", "Ostype", "Server")
        lines += [f"{name}: {value}" for name, value in self._headers.get_all() if name in kept]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def hold_for_hijack(request: HTTPServerRequest) -> None:
    """Hold the connection of a request that is going to a `HijackHandler`."""
    stream = _stream_of(request)
    if stream is not None:
        stream.hold()


def _stream_of(request: HTTPServerRequest) -> ClientStream | None:
    connection = request.connection
    stream = connection.stream if isinstance(connection, HTTP1Connection) else None
    return stream if isinstance(stream, ClientStream) else None


def _unread_bytes(connection: socket.socket) -> int:
    # The kernel counts what the peer has not read yet (SIOCOUTQ, by its terminal's name TIOCOUTQ;
    # linux/sockios.h, net/unix/af_unix.c).
    try:
        answer = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    size: int = struct.unpack("i", answer)[0]
    return size
