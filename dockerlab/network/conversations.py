"""The name server over TCP: rare, so a conversation has a thread of its own, and few may be.

A container has so many of them that it cannot use up those of others.
"""

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from typing import BinaryIO

from dockerlab.network import answers
from dockerlab.network.names import Names
from dockerlab.network.outside import Outside

__all__ = ["Conversations"]

_OF_ONE = 8
_OF_ALL = 64
_TIMEOUT_S = 5.0
_UPSTREAM_TIMEOUT_S = 2.0
_PORT = 53
_LENGTH_BYTES = 2

# The networks and the upstreams of a container, as they are at the moment.
Scope = Callable[[], tuple[tuple[str, ...], tuple[str, ...]]]


class Conversations:
    """The conversations of all containers."""

    def __init__(self, names: Names, outside: Outside) -> None:
        self._names = names
        self._outside = outside
        self._lock = threading.Lock()
        self._counts: Counter[socket.socket] = Counter()

    def begin(self, listener: socket.socket, connection: socket.socket, scope: Scope) -> None:
        """Answer the questions of a connection, or close it where there are too many.

        Parameters
        ----------
        listener : socket
            Where it came from: one a container.
        """
        with self._lock:
            if self._counts[listener] >= _OF_ONE or self._counts.total() >= _OF_ALL:
                connection.close()
                return
            self._counts[listener] += 1
        arguments = (listener, connection, scope)
        threading.Thread(target=self._converse, args=arguments, daemon=True).start()

    def end(self, listener: socket.socket) -> None:
        """Forget a container; its conversations end by themselves."""
        with self._lock:
            self._counts.pop(listener, None)

    def _converse(self, listener: socket.socket, connection: socket.socket, scope: Scope) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_TIMEOUT_S)
                stream = connection.makefile("rb")
                while answers.is_question(data := _read_framed(stream)):
                    networks, upstreams = scope()
                    own = answers.answer(self._names, networks, data, is_stream=True)
                    reply = self._ask(upstreams, data) if own is None else own
                    connection.sendall(answers.framed(reply))
        finally:
            with self._lock:
                if listener in self._counts:
                    self._counts[listener] -= 1

    def _ask(self, upstreams: tuple[str, ...], data: bytes) -> bytes:
        for upstream in upstreams:
            with contextlib.suppress(OSError), self._outside.socket("tcp", upstream) as sock:
                sock.settimeout(_UPSTREAM_TIMEOUT_S)
                sock.connect((upstream, _PORT))
                sock.sendall(answers.framed(data))
                reply = _read_framed(sock.makefile("rb"))
                if reply[:2] == data[:2] and len(reply) >= answers.HEADER_BYTES:
                    return reply
        return answers.server_failure(data)


def _read_framed(stream: BinaryIO) -> bytes:
    """Return the next message; ``b""`` when the other side has ended."""
    head = stream.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return b""
    (length,) = struct.unpack("!H", head)
    data = stream.read(length)
    return data if len(data) == length else b""
