"""Published ports of UDP, which has no connections: clients are remembered by their address.

Each has a socket of its own to the container, so that answers find the way back. It is remembered
for as long as docker-proxy remembers it, and there are so many of them at most; the one that was
quiet for longest goes first.
"""

import contextlib
import select
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dockerlab.network.loop import Loop

__all__ = ["CLIENTS", "DatagramPort"]

_DATAGRAM_BYTES = 65535
# moby, UDPConnTrackTimeout.
_IDLE_S = 90.0
CLIENTS = 1024
_PER_TURN = 64

Address = tuple[Any, ...]


@dataclass(slots=True)
class _Client:
    """A client and its own socket to the container."""

    upstream: socket.socket
    used_s: float


class DatagramPort:
    """A published port of UDP; all of it runs in the loop's thread.

    Parameters
    ----------
    listener : socket
        Bound, and owned from here.
    target
        Where new clients lead to; what it is, is the affair of `make`.
    make : callable
        Returns a socket, not blocking, that is connected to a target.
    """

    def __init__(
        self, loop: Loop, listener: socket.socket, target: Any, make: Callable[[Any], socket.socket]
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._make = make
        self._clients: OrderedDict[Address, _Client] = OrderedDict()
        self.target = target
        loop.watch(listener.fileno(), select.EPOLLIN, lambda _: self._receive())

    def close(self) -> None:
        """Close it and forget its clients."""
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        while self._clients:
            self._forget(next(iter(self._clients)))

    def forget_idle(self) -> bool:
        """Forget clients that were quiet for long; True when others are left."""
        since_s = time.monotonic() - _IDLE_S
        while self._clients:
            address, client = next(iter(self._clients.items()))
            if client.used_s >= since_s:
                return True
            self._forget(address)
        return False

    def _receive(self) -> None:
        for _ in range(_PER_TURN):
            try:
                data, address = self._listener.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            client = self._clients.get(address) or self._new_client(address)
            self._touch(address, client)
            with contextlib.suppress(OSError):  # Nobody listens there now: UDP loses it.
                client.upstream.send(data)

    def _new_client(self, address: Address) -> _Client:
        if len(self._clients) >= CLIENTS:
            self._forget(next(iter(self._clients)))
        upstream = self._make(self.target)
        client = self._clients[address] = _Client(upstream, time.monotonic())
        fd = upstream.fileno()
        self._loop.watch(fd, select.EPOLLIN, lambda _: self._answer(client, address))
        return client

    def _answer(self, client: _Client, address: Address) -> None:
        for _ in range(_PER_TURN):
            try:
                data = client.upstream.recv(_DATAGRAM_BYTES)
            except (BlockingIOError, ConnectionRefusedError):
                return
            self._touch(address, client)
            with contextlib.suppress(OSError):  # It cannot be reached now: UDP loses it.
                self._listener.sendto(data, address)

    def _touch(self, address: Address, client: _Client) -> None:
        client.used_s = time.monotonic()
        self._clients.move_to_end(address)

    def _forget(self, address: Address) -> None:
        client = self._clients.pop(address)
        self._loop.unwatch(client.upstream.fileno())
        client.upstream.close()
