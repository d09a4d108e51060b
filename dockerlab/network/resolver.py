"""The name server that a container on a user-defined network has at 127.0.0.11.

It listens inside the container's namespace and answers names of its networks; what it does not know
it forwards, unread, to the host's name servers through sockets of the host. One thread serves all
containers of an engine, one datagram of each in turn, so that one that floods gets its share and no
more. Docker's documentation, "Networking overview", DNS services; for TCP see `conversations`.
"""

import contextlib
import secrets
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dockerlab.network import answers
from dockerlab.network.conversations import Conversations
from dockerlab.network.loop import Loop
from dockerlab.network.names import Names
from dockerlab.network.namespaces import inside
from dockerlab.network.nftables import OUTPUT_NAT, Chain, redirect, replace_table, to_port
from dockerlab.network.outside import Outside

__all__ = ["ADDRESS", "NameSockets", "Resolver", "listen"]

ADDRESS = "127.0.0.11"
_PORT = 53
# As Docker's: no more are asked, and so long is waited for all of them.
_UPSTREAMS = 3
_FORWARD_TIMEOUT_S = 4.0
_DATAGRAM_BYTES = 65535
# Of one container: questions that wait in the kernel, and that wait for an upstream.
_QUEUE_BYTES = 2 << 20
_PENDING = 1024
# In a container's own namespace, where there may be others of the container's.
_TABLE = "dockerlab-names"
# Linux has it on every architecture but four old ones; Python does not name it.
_SO_RCVBUFFORCE = 33


@dataclass(slots=True)
class _Zone:
    """One container: what it asks through, and what it may know."""

    networks: tuple[str, ...]
    upstreams: tuple[str, ...]
    datagrams: socket.socket
    streams: socket.socket
    pending: "dict[int, _Question]" = field(default_factory=dict)


@dataclass(slots=True)
class _Question:
    """A question that was forwarded and waits for its answer."""

    zone: _Zone
    data: bytes
    client: Any
    upstreams: list[str]
    until_s: float
    sock: socket.socket
    number: bytes


class Resolver:
    """The name servers of all containers of an engine, in one thread.

    Parameters
    ----------
    names : Names
        Shared with who changes them.
    outside : Outside
        Makes the sockets that questions are forwarded through.
    """

    def __init__(self, names: Names, outside: Outside) -> None:
        self._names = names
        self._outside = outside
        self._zones: dict[str, _Zone] = {}
        self._conversations = Conversations(names, outside)
        self._loop = Loop("name server", self._give_up_late)

    def serve(
        self,
        owner: str,
        sockets: "Callable[[], NameSockets]",
        networks: tuple[str, ...],
        upstreams: tuple[str, ...],
    ) -> None:
        """Answer in a container's namespace from now on, or with other networks than before.

        Parameters
        ----------
        sockets : callable
            Returns what `listen` does; asked for where the container has none yet.
        upstreams : tuple of str
            Addresses of name servers of the host; without one unknown names are not found.
        """
        upstreams = upstreams[:_UPSTREAMS]
        zone = self._zones.get(owner)
        if zone is not None:
            zone.networks, zone.upstreams = networks, upstreams
            return
        zone = self._zones[owner] = _Zone(networks, upstreams, *sockets())
        self._loop.call(lambda: self._begin(zone))

    def withdraw(self, owner: str) -> None:
        """Close the name server of a container; returns when it is closed."""
        zone = self._zones.pop(owner, None)
        if zone is not None:
            self._loop.call_and_wait(lambda: self._end(zone))

    # ----------------------------------------------------------------------- in the loop's thread

    def _begin(self, zone: _Zone) -> None:
        self._loop.watch(zone.datagrams.fileno(), select.EPOLLIN, lambda _: self._receive(zone))
        self._loop.watch(zone.streams.fileno(), select.EPOLLIN, lambda _: self._accept(zone))

    def _end(self, zone: _Zone) -> None:
        for question in list(zone.pending.values()):
            self._settle(question)
        for sock in (zone.datagrams, zone.streams):
            self._loop.unwatch(sock.fileno())
            sock.close()
        self._conversations.end(zone.streams)

    def _accept(self, zone: _Zone) -> None:
        connection, _ = zone.streams.accept()
        self._conversations.begin(zone.streams, connection, lambda: (zone.networks, zone.upstreams))

    def _receive(self, zone: _Zone) -> None:
        try:
            data, client = zone.datagrams.recvfrom(_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        if not answers.is_question(data):
            return
        own = answers.answer(self._names, zone.networks, data, is_stream=False)
        if own is not None:
            _reply(zone, own, client)
        elif not zone.upstreams or len(zone.pending) >= _PENDING:
            _reply(zone, answers.server_failure(data), client)
        else:
            self._forward(zone, data, client, list(zone.upstreams))

    def _forward(self, zone: _Zone, data: bytes, client: Any, upstreams: list[str]) -> None:
        """Ask the first of the upstreams, under a number and from a port that nobody can guess."""
        upstream, *others = upstreams
        try:
            sock = self._outside.socket("udp", upstream)
        except OSError as error:
            self._loop.complain(error)
            _reply(zone, answers.server_failure(data), client)
            return
        sock.setblocking(False)  # noqa: FBT003
        number = secrets.token_bytes(2)
        until_s = time.monotonic() + _FORWARD_TIMEOUT_S / len(zone.upstreams)
        question = _Question(zone, data, client, others, until_s, sock, number)
        zone.pending[sock.fileno()] = question
        self._loop.watch(sock.fileno(), select.EPOLLIN, self._answer_handler(question))
        try:
            sock.connect((upstream, _PORT))
            sock.send(number + data[2:])
        except OSError:
            self._next(question)

    def _answer_handler(self, question: _Question) -> Callable[[int], None]:
        return lambda _: self._answered(question)

    def _answered(self, question: _Question) -> None:
        try:
            data = question.sock.recv(_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._next(question)
            return
        if len(data) < answers.HEADER_BYTES or data[:2] != question.number:
            return
        self._settle(question)
        _reply(question.zone, question.data[:2] + data[2:], question.client)

    def _next(self, question: _Question) -> None:
        """Ask the next upstream, or say that none answers."""
        self._settle(question)
        zone = question.zone
        if question.upstreams:
            self._forward(zone, question.data, question.client, question.upstreams)
        else:
            _reply(zone, answers.server_failure(question.data), question.client)

    def _settle(self, question: _Question) -> None:
        fd = question.sock.fileno()
        question.zone.pending.pop(fd, None)
        self._loop.unwatch(fd)
        question.sock.close()

    def _give_up_late(self) -> bool:
        now_s = time.monotonic()
        questions = [q for zone in list(self._zones.values()) for q in zone.pending.values()]
        for question in questions:
            if question.until_s < now_s:
                self._next(question)
        return bool(questions)


class NameSockets(NamedTuple):
    """What a name server listens on."""

    datagrams: socket.socket
    streams: socket.socket

    def close(self) -> None:
        """Close both."""
        for sock in self:
            sock.close()


def listen(namespace: int) -> NameSockets:
    """Return the sockets of a name server in a namespace.

    Raises
    ------
    OSError
        Something there has the address already.

    Notes
    -----
    They have ports that nobody asks for, with a rule of the kernel's that leads there, so that a
    program in the container can have port 53 of all addresses. A kernel without nftables gives them
    port 53 of their address itself.
    """
    with inside(namespace):
        sockets = _bind(0)
        try:
            _lead_to(sockets)
        except OSError:
            sockets.close()
            return _bind(_PORT)
    return sockets


def _lead_to(sockets: NameSockets) -> None:
    rules = [
        to_port(protocol, ADDRESS, _PORT) + redirect(ADDRESS, sock.getsockname()[1])
        for protocol, sock in zip((socket.IPPROTO_UDP, socket.IPPROTO_TCP), sockets, strict=True)
    ]
    replace_table(_TABLE, [Chain("output", OUTPUT_NAT, rules)], is_ipv4=True)


def _bind(port: int) -> NameSockets:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        try:
            datagrams.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _QUEUE_BYTES)
        except OSError:  # Not without root: then what the host allows.
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE_BYTES)
        datagrams.bind((ADDRESS, port))
        streams = socket.create_server((ADDRESS, port), backlog=64)
    except OSError:
        datagrams.close()
        raise
    streams.setblocking(False)  # noqa: FBT003
    return NameSockets(datagrams, streams)


def _reply(zone: _Zone, data: bytes, client: Any) -> None:
    with contextlib.suppress(OSError):  # It does not read what it asked for: UDP loses it.
        zone.datagrams.sendto(data, client)
