"""Published ports: a listener outside, a connection made inside the container's namespace.

No firewall is needed: who connects to the listener is joined with a socket that was born in the
namespace, so it works without root as well. One thread serves all ports of an engine; its loop
moves descriptors, the bytes stay in the kernel (`splicing`). UDP has no connections: a client is
remembered for as long as docker-proxy remembers it.
"""

import contextlib
import os
import select
import socket
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from dockerlab.kernel.fds import OwnedFd
from dockerlab.network.namespaces import inside
from dockerlab.network.splicing import Joint

__all__ = ["Ports", "Target"]

_EDGE = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_DATAGRAM_BYTES = 65535
# moby, UDPConnTrackTimeout.
_CLIENT_IDLE_S = 90.0
_CLIENTS = 1024
_DATAGRAMS_PER_TURN = 64
_CONNECTIONS = 8192

Handler = Callable[[int], None]


class Target(NamedTuple):
    """Where a published port leads to."""

    namespace: OwnedFd
    address: str
    port: int


@dataclass(slots=True)
class _Port:
    """One published port."""

    listener: socket.socket
    target: Target
    joints: set[Joint] = field(default_factory=set)
    clients: "OrderedDict[tuple[object, ...], _Client]" = field(default_factory=OrderedDict)


@dataclass(slots=True)
class _Client:
    """A client of a UDP port: its own socket to the container, so that answers find the way."""

    upstream: socket.socket
    used_s: float


class Ports:
    """All published ports of an engine, served by one thread."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._ports: dict[str, list[_Port]] = {}
        self._again: deque[Joint] = deque()
        self._owners: dict[Joint, _Port] = {}
        self._commands: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._watch(self._wake, select.EPOLLIN, self._run_commands)
        self._thread = threading.Thread(target=self._run, name="ports", daemon=True)
        self._thread.start()

    def publish(self, owner: str, listener: socket.socket, target: Target) -> None:
        """Serve a port until its owner withdraws; the listener is bound, and owned from here.

        Parameters
        ----------
        owner : str
            The container; it may have many ports.
        """
        listener.setblocking(False)  # noqa: FBT003
        self._call(lambda: self._begin(owner, _Port(listener, target)))

    def withdraw(self, owner: str) -> None:
        """Close the ports of a container and their connections; returns when they are closed."""
        done = threading.Event()

        def end() -> None:
            """Close them, and tell."""
            for port in self._ports.pop(owner, ()):
                self._end(port)
            done.set()

        self._call(end)
        done.wait()

    # ------------------------------------------------------------------ the thread and its loop

    def _call(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        os.eventfd_write(self._wake, 1)

    def _run_commands(self, _events: int) -> None:
        os.eventfd_read(self._wake)
        while self._commands:
            self._commands.popleft()()

    def _run(self) -> None:
        while True:
            timeout_s = 0.0 if self._again else _CLIENT_IDLE_S
            for fd, events in self._epoll.poll(timeout_s):
                handler = self._handlers.get(fd)
                if handler is not None:  # Else one before it in this round closed it.
                    self._handle(handler, events)
            for _ in range(len(self._again)):
                joint = self._again.popleft()
                if joint in self._owners:
                    self._pump(joint)
            self._forget_idle()

    def _handle(self, handler: Handler, events: int) -> None:
        try:
            handler(events)
        except OSError as error:
            # One connection, or the lack of descriptors for it, must not end all others.
            sys.stderr.write(f"published ports: {error}\n")

    def _watch(self, fd: int, events: int, handler: Handler) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def _unwatch(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    # ------------------------------------------------------------------------------------ ports

    def _begin(self, owner: str, port: _Port) -> None:
        self._ports.setdefault(owner, []).append(port)
        is_stream = port.listener.type == socket.SOCK_STREAM
        handle = self._accept if is_stream else self._receive
        self._watch(port.listener.fileno(), select.EPOLLIN, lambda _: handle(port))

    def _end(self, port: _Port) -> None:
        self._unwatch(port.listener.fileno())
        port.listener.close()
        for joint in list(port.joints):
            self._drop(joint, is_broken=True)
        for client in port.clients.values():
            self._unwatch(client.upstream.fileno())
            client.upstream.close()

    # -------------------------------------------------------------------------------------- TCP

    def _accept(self, port: _Port) -> None:
        try:
            client, _ = port.listener.accept()
        except BlockingIOError:
            return
        if len(self._owners) >= _CONNECTIONS:
            client.close()
            return
        client.setblocking(False)  # noqa: FBT003
        try:
            server = _make_socket(port.target, socket.SOCK_STREAM)
            with contextlib.suppress(BlockingIOError):
                server.connect((port.target.address, port.target.port))
            joint = Joint(client, server)
        except OSError:
            client.close()
            raise
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port.joints.add(joint)
        self._owners[joint] = port
        self._watch(server.fileno(), _EDGE, lambda events: self._connected(joint, events))

    def _connected(self, joint: Joint, events: int) -> None:
        """Join both ends once the container has accepted; refuse as it refuses."""
        if not events & (select.EPOLLOUT | select.EPOLLERR):
            return
        if joint.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._drop(joint, is_broken=True)
            return
        self._handlers[joint.server.fileno()] = lambda _: self._pump(joint)
        self._watch(joint.client.fileno(), _EDGE, lambda _: self._pump(joint))
        self._pump(joint)

    def _pump(self, joint: Joint) -> None:
        try:
            if joint.pump():
                self._again.append(joint)
        except OSError:
            self._drop(joint, is_broken=True)
            return
        if joint.is_done:
            self._drop(joint)

    def _drop(self, joint: Joint, *, is_broken: bool = False) -> None:
        port = self._owners.pop(joint, None)
        if port is None:
            return
        port.joints.discard(joint)
        self._unwatch(joint.client.fileno())
        self._unwatch(joint.server.fileno())
        joint.close(is_broken=is_broken)

    # -------------------------------------------------------------------------------------- UDP

    def _receive(self, port: _Port) -> None:
        for _ in range(_DATAGRAMS_PER_TURN):
            try:
                data, address = port.listener.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            client = port.clients.get(address) or self._new_client(port, address)
            client.used_s = time.monotonic()
            port.clients.move_to_end(address)
            with contextlib.suppress(OSError):  # Nobody listens there now: UDP loses it.
                client.upstream.send(data)

    def _new_client(self, port: _Port, address: tuple[object, ...]) -> _Client:
        if len(port.clients) >= _CLIENTS:
            self._forget(port, next(iter(port.clients)))
        upstream = _make_socket(port.target, socket.SOCK_DGRAM)
        upstream.connect((port.target.address, port.target.port))
        client = port.clients[address] = _Client(upstream, time.monotonic())
        self._watch(
            upstream.fileno(), select.EPOLLIN, lambda _: self._answer(port, client, address)
        )
        return client

    def _answer(self, port: _Port, client: _Client, address: tuple[object, ...]) -> None:
        for _ in range(_DATAGRAMS_PER_TURN):
            try:
                data = client.upstream.recv(_DATAGRAM_BYTES)
            except (BlockingIOError, ConnectionRefusedError):
                return
            client.used_s = time.monotonic()
            port.listener.sendto(data, address)

    def _forget_idle(self) -> None:
        since_s = time.monotonic() - _CLIENT_IDLE_S
        for ports in self._ports.values():
            for port in ports:
                idle = [at for at, client in port.clients.items() if client.used_s < since_s]
                for address in idle:
                    self._forget(port, address)

    def _forget(self, port: _Port, address: tuple[object, ...]) -> None:
        client = port.clients.pop(address)
        self._unwatch(client.upstream.fileno())
        client.upstream.close()


def _make_socket(target: Target, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    with inside(target.namespace.number):
        return socket.socket(family, kind | socket.SOCK_NONBLOCK)
