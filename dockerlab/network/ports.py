"""Published ports: a listener outside, a connection made inside the container's namespace.

No firewall is needed: who connects to the listener is joined with a socket that was born in the
namespace, so it works without root as well. One thread serves all ports of an engine; its loop
moves descriptors, the bytes stay in the kernel (`splicing`). For UDP see `datagrams`.
"""

import contextlib
import select
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from typing import NamedTuple

from dockerlab.kernel.fds import OwnedFd
from dockerlab.network.datagrams import DatagramPort
from dockerlab.network.loop import Loop
from dockerlab.network.namespaces import inside
from dockerlab.network.splicing import Joint, Pipes

__all__ = ["Ports", "Target"]

_EDGE = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
# Of one port: what one container's clients hold, others' have still to find.
_CONNECTIONS = 4096
_ACCEPTED_PER_TURN = 64
# As Go's net package, which docker-proxy accepts with: a peer that vanished is noticed.
_KEEPALIVE_S = 15
_SCARCE = (EMFILE, ENFILE, ENOBUFS, ENOMEM)


class Target(NamedTuple):
    """Where a published port leads to."""

    namespace: OwnedFd
    address: str
    port: int


@dataclass(slots=True)
class _Port:
    """One published port of TCP."""

    listener: socket.socket
    target: Target
    joints: set[Joint] = field(default_factory=set)


class Ports:
    """All published ports of an engine, served by one thread."""

    def __init__(self) -> None:
        self._ports: dict[str, list[_Port | DatagramPort]] = {}
        self._owners: dict[Joint, _Port] = {}
        self._pipes = Pipes()
        self._loop = Loop("published ports", self._tick)

    def publish(self, owner: str, listener: socket.socket, target: Target) -> None:
        """Serve a port until its owner withdraws; the listener is bound, and owned from here.

        Parameters
        ----------
        owner : str
            The container; it may have many ports.
        """
        listener.setblocking(False)  # noqa: FBT003
        self._loop.call(lambda: self._begin(owner, listener, target))

    def aim(self, owner: str, targets: Sequence[Target]) -> None:
        """Have new connections to the owner's ports, in the order of their publishing, go there."""

        def change() -> None:
            """Give each port its new target."""
            for port, target in zip(self._ports.get(owner, ()), targets, strict=True):
                port.target = target

        self._loop.call(change)

    def withdraw(self, owner: str) -> None:
        """Close the ports of a container and their connections; returns when they are closed."""

        def end() -> None:
            """Close each of them."""
            for port in self._ports.pop(owner, ()):
                self._end(port)

        self._loop.call_and_wait(end)

    # ----------------------------------------------------------------------- in the loop's thread

    def _begin(self, owner: str, listener: socket.socket, target: Target) -> None:
        ports = self._ports.setdefault(owner, [])
        if listener.type == socket.SOCK_DGRAM:
            make = _maker(socket.SOCK_DGRAM)
            ports.append(DatagramPort(self._loop, listener, target, make))
            return
        _set_options(listener)
        port = _Port(listener, target)
        ports.append(port)
        self._loop.watch(listener.fileno(), select.EPOLLIN, lambda _: self._accept(port))

    def _end(self, port: "_Port | DatagramPort") -> None:
        if isinstance(port, DatagramPort):
            port.close()
            return
        self._loop.unwatch(port.listener.fileno())
        port.listener.close()
        for joint in list(port.joints):
            self._drop(joint, is_broken=True)

    def _tick(self) -> bool:
        datagrams = [p for ports in self._ports.values() for p in ports if not isinstance(p, _Port)]
        are_busy = [port.forget_idle() for port in datagrams]
        return any(are_busy)

    def _accept(self, port: _Port) -> None:
        """Accept who waits, and begin a connection into the container for each."""
        clients: list[socket.socket] = []
        try:
            while len(clients) < _ACCEPTED_PER_TURN:
                clients.append(port.listener.accept()[0])
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in _SCARCE:
                # Who waits goes on waiting: asked at once again, the kernel would say the same.
                self._loop.pause(port.listener.fileno(), select.EPOLLIN)
            self._loop.complain(error)
        free = max(_CONNECTIONS - len(port.joints), 0)
        for client in clients[free:]:
            client.close()
        for client, server in self._reach(port.target, clients[:free]):
            joint = Joint(self._pipes, client, server)
            port.joints.add(joint)
            self._owners[joint] = port
            self._loop.watch(server.fileno(), _EDGE, self._connection_handler(joint))

    def _reach(
        self, target: Target, clients: Iterable[socket.socket]
    ) -> list[tuple[socket.socket, socket.socket]]:
        """Begin to connect for each client; those for whom it cannot be are closed."""
        pairs = []
        waiting = list(clients)
        try:
            with inside(target.namespace.number):
                while waiting:
                    server = _make_socket(target, socket.SOCK_STREAM)
                    pairs.append((waiting.pop(), server))
                    with contextlib.suppress(BlockingIOError):
                        server.connect((target.address, target.port))
        except OSError as error:
            self._loop.complain(error)
        for client in waiting:
            client.close()
        for client, server in pairs:
            client.setblocking(False)  # noqa: FBT003
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return pairs

    def _connection_handler(self, joint: Joint) -> Callable[[int], None]:
        return lambda events: self._connected(joint, events)

    def _connected(self, joint: Joint, events: int) -> None:
        """Join both ends once the container has accepted; refuse as it refuses."""
        if not events & (select.EPOLLOUT | select.EPOLLERR):
            return
        if joint.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._drop(joint, is_broken=True)
            return
        self._loop.change_handler(joint.server.fileno(), lambda seen: self._pump(joint, seen))
        self._loop.watch(joint.client.fileno(), _EDGE, lambda seen: self._pump(joint, seen))
        self._pump(joint, events)

    def _pump(self, joint: Joint, events: int) -> None:
        if joint not in self._owners:
            return
        try:
            has_more = joint.pump()
        except OSError:
            self._drop(joint, is_broken=True)
            return
        if joint.is_done:
            self._drop(joint)
        elif events & select.EPOLLERR:
            # A reset while the other side takes nothing: no splice would come to see it.
            self._drop(joint, is_broken=True)
        elif has_more:
            self._loop.again(lambda: self._pump(joint, 0))

    def _drop(self, joint: Joint, *, is_broken: bool = False) -> None:
        port = self._owners.pop(joint, None)
        if port is None:
            return
        port.joints.discard(joint)
        self._loop.unwatch(joint.client.fileno())
        self._loop.unwatch(joint.server.fileno())
        joint.close(is_broken=is_broken)


def _set_options(listener: socket.socket) -> None:
    """Set what the sockets that are accepted inherit; tcp(7), socket(7)."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
        listener.setsockopt(socket.IPPROTO_TCP, option, _KEEPALIVE_S)


def _maker(kind: socket.SocketKind) -> Callable[[Target], socket.socket]:
    def make(target: Target) -> socket.socket:
        """Return a socket that leads to the target."""
        with inside(target.namespace.number):
            sock = _make_socket(target, kind)
            try:
                sock.connect((target.address, target.port))
            except OSError:
                sock.close()
                raise
        return sock

    return make


def _make_socket(target: Target, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    return socket.socket(family, kind | socket.SOCK_NONBLOCK)
