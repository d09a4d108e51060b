"""The name server that a container on a user-defined network has at 127.0.0.11.

It listens inside the container's namespace and answers names of its networks; what it does not know
it forwards, unread, to the host's name servers through sockets of the host. One thread serves all
containers of an engine. RFC 1035; Docker's documentation, "Networking overview", DNS services.
"""

import contextlib
import os
import secrets
import select
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import BinaryIO

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, A, DNSError, DNSRecord

from dockerlab.network.names import Names
from dockerlab.network.namespaces import inside
from dockerlab.network.outside import Outside

__all__ = ["ADDRESS", "Resolver"]

ADDRESS = "127.0.0.11"
_PORT = 53
_TTL_S = 600  # moby, libnetwork: respTTL
_DATAGRAM_BYTES = 4096
_HEADER_BYTES = 12
_PENDING = 256
_FORWARD_TIMEOUT_S = 4.0
_STREAM_TIMEOUT_S = 5.0
_STREAMS = 16
_TICK_S = 1.0
_ARPA = ".in-addr.arpa"
# Bits of a header: QR and RA; of the question's, RD and CD are given back.
_RESPONSE, _KEPT = 0x8080, 0x0110


@dataclass(slots=True)
class _Zone:
    """One container: what it asks through, and what it may know."""

    networks: tuple[str, ...]
    upstreams: tuple[str, ...]
    datagrams: socket.socket
    streams: socket.socket | None
    pending: "dict[int, _Question]" = field(default_factory=dict)


@dataclass(slots=True)
class _Question:
    """A question that was forwarded and waits for its answer."""

    zone: _Zone
    data: bytes
    client: tuple[object, ...]
    upstreams: list[str]
    until_s: float
    sock: socket.socket
    id: int


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
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._commands: deque[Callable[[], None]] = deque()
        self._streams = threading.BoundedSemaphore(_STREAMS)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._watch(self._wake, self._run_commands)
        threading.Thread(target=self._run, name="resolver", daemon=True).start()

    def serve(
        self, owner: str, namespace: int, networks: tuple[str, ...], upstreams: tuple[str, ...]
    ) -> None:
        """Answer in a container's namespace from now on, or with other networks than before.

        Parameters
        ----------
        upstreams : tuple of str
            Addresses of name servers of the host; without one unknown names are not found.
        """
        zone = self._zones.get(owner)
        if zone is not None:
            zone.networks, zone.upstreams = networks, upstreams
            return
        with inside(namespace):
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            datagrams.bind((ADDRESS, _PORT))
            streams = socket.create_server((ADDRESS, _PORT), backlog=8)
        streams.setblocking(False)  # noqa: FBT003
        zone = self._zones[owner] = _Zone(networks, upstreams, datagrams, streams)
        self._call(lambda: self._begin(zone))

    def withdraw(self, owner: str) -> None:
        """Close the name server of a container; returns when it is closed."""
        zone = self._zones.pop(owner, None)
        if zone is None:
            return
        done = threading.Event()

        def end() -> None:
            """Close it, and tell."""
            self._end(zone)
            done.set()

        self._call(end)
        done.wait()

    # ------------------------------------------------------------------ the thread and its loop

    def _call(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        os.eventfd_write(self._wake, 1)

    def _run_commands(self) -> None:
        os.eventfd_read(self._wake)
        while self._commands:
            self._commands.popleft()()

    def _run(self) -> None:
        while True:
            for fd, _ in self._epoll.poll(_TICK_S):
                handler = self._handlers.get(fd)
                if handler is None:
                    continue
                try:
                    handler()
                except OSError as error:
                    sys.stderr.write(f"name server: {error}\n")
            self._give_up_late()

    def _watch(self, fd: int, handler: Callable[[], None]) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, select.EPOLLIN)

    def _unwatch(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _begin(self, zone: _Zone) -> None:
        self._watch(zone.datagrams.fileno(), lambda: self._receive(zone))
        if zone.streams is not None:
            streams = zone.streams
            self._watch(streams.fileno(), lambda: self._accept(zone, streams))

    def _end(self, zone: _Zone) -> None:
        for question in list(zone.pending.values()):
            self._settle(question)
        for sock in (zone.datagrams, zone.streams):
            if sock is not None:
                self._unwatch(sock.fileno())
                sock.close()

    # ---------------------------------------------------------------------------------- answers

    def _receive(self, zone: _Zone) -> None:
        try:
            data, client = zone.datagrams.recvfrom(_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        answer = self._own_answer(zone, data)
        if answer is not None:
            zone.datagrams.sendto(answer, client)
        elif not zone.upstreams or len(zone.pending) >= _PENDING:
            zone.datagrams.sendto(_refuse(data), client)
        else:
            self._forward(zone, data, client, list(zone.upstreams))

    def _own_answer(self, zone: _Zone, data: bytes) -> bytes | None:
        """Answer from our own names; b"" for what is no question, None for what we do not know."""
        try:
            query = DNSRecord.parse(data)
        except (DNSError, ValueError, IndexError, struct.error):
            return _refuse(data)
        if len(query.questions) != 1 or query.header.qr:
            return _refuse(data)
        name, kind = str(query.q.qname), QTYPE.get(query.q.qtype)
        reply = query.reply()
        if kind == "PTR" and name.lower().rstrip(".").endswith(_ARPA):
            return self._reverse(zone, name, reply)
        addresses = self._names.addresses(zone.networks, name)
        if addresses is None:
            return None
        for address in addresses:
            if kind == "A" and isinstance(address, IPv4Address):
                reply.add_answer(RR(name, QTYPE.A, rdata=A(str(address)), ttl=_TTL_S))
            elif kind == "AAAA" and not isinstance(address, IPv4Address):
                reply.add_answer(RR(name, QTYPE.AAAA, rdata=AAAA(str(address)), ttl=_TTL_S))
        return bytes(reply.pack())

    def _reverse(self, zone: _Zone, name: str, reply: DNSRecord) -> bytes | None:
        parts = name.rstrip(".").lower().removesuffix(_ARPA).split(".")
        try:
            found = self._names.name_of(zone.networks, ".".join(reversed(parts)))
        except ValueError:
            return None
        if found is None:
            return None
        reply.add_answer(RR(name, QTYPE.PTR, rdata=PTR(found), ttl=_TTL_S))
        return bytes(reply.pack())

    # --------------------------------------------------------------------------------- forwards

    def _forward(
        self, zone: _Zone, data: bytes, client: tuple[object, ...], upstreams: list[str]
    ) -> None:
        """Ask the first of the upstreams, under a number and from a port that nobody can guess."""
        upstream, *others = upstreams
        sock = self._outside.socket("udp", upstream)
        sock.setblocking(False)  # noqa: FBT003
        number = secrets.randbits(16)
        until_s = time.monotonic() + _FORWARD_TIMEOUT_S
        question = _Question(zone, data, client, others, until_s, sock, number)
        zone.pending[sock.fileno()] = question
        self._watch(sock.fileno(), lambda: self._answered(question))
        try:
            sock.connect((upstream, _PORT))
            sock.send(struct.pack("!H", number) + data[2:])
        except OSError:
            self._next(question)

    def _answered(self, question: _Question) -> None:
        try:
            data = question.sock.recv(_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._next(question)
            return
        if len(data) < _HEADER_BYTES or data[:2] != struct.pack("!H", question.id):
            return
        self._settle(question)
        question.zone.datagrams.sendto(question.data[:2] + data[2:], question.client)

    def _next(self, question: _Question) -> None:
        """Ask the next upstream, or say that none answers."""
        self._settle(question)
        zone = question.zone
        if question.upstreams:
            self._forward(zone, question.data, question.client, question.upstreams)
            return
        with contextlib.suppress(OSError):
            zone.datagrams.sendto(_refuse(question.data), question.client)

    def _settle(self, question: _Question) -> None:
        fd = question.sock.fileno()
        question.zone.pending.pop(fd, None)
        self._unwatch(fd)
        question.sock.close()

    def _give_up_late(self) -> None:
        now_s = time.monotonic()
        for zone in list(self._zones.values()):
            for question in list(zone.pending.values()):
                if question.until_s < now_s:
                    self._next(question)

    # --------------------------------------------------------------------------------- over TCP

    def _accept(self, zone: _Zone, streams: socket.socket) -> None:
        connection, _ = streams.accept()
        if not self._streams.acquire(blocking=False):
            connection.close()
            return
        threading.Thread(target=self._converse, args=(zone, connection), daemon=True).start()

    def _converse(self, zone: _Zone, connection: socket.socket) -> None:
        """Answer the questions of one connection; rare, so it has a thread of its own."""
        try:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_STREAM_TIMEOUT_S)
                stream = connection.makefile("rb")
                while (data := _read_framed(stream)) is not None:
                    answer = self._own_answer(zone, data) or self._ask_stream(zone, data)
                    connection.sendall(_framed(answer))
        finally:
            self._streams.release()

    def _ask_stream(self, zone: _Zone, data: bytes) -> bytes:
        for upstream in zone.upstreams:
            with contextlib.suppress(OSError), self._outside.socket("tcp", upstream) as sock:
                sock.settimeout(_FORWARD_TIMEOUT_S)
                sock.connect((upstream, _PORT))
                sock.sendall(_framed(data))
                answer = _read_framed(sock.makefile("rb"))
                if answer is not None and answer[:2] == data[:2]:
                    return answer
        return _refuse(data)


def _framed(data: bytes) -> bytes:
    # RFC 1035, 4.2.2: over a stream a message has its length before it.
    return struct.pack("!H", len(data)) + data


def _read_framed(stream: BinaryIO) -> bytes | None:
    head = stream.read(2)
    if len(head) < 2:  # noqa: PLR2004 - a length of two bytes
        return None
    (length,) = struct.unpack("!H", head)
    data = stream.read(length)
    return data if len(data) == length else None


def _refuse(data: bytes) -> bytes:
    """Return SERVFAIL with the question's own number; nothing for what is no question at all."""
    if len(data) < _HEADER_BYTES:
        return b""
    # The header alone: response, recursion available, SERVFAIL; no records.
    number, flags = struct.unpack("!HH", data[:4])
    return struct.pack("!HHHHHH", number, _RESPONSE | flags & _KEPT | RCODE.SERVFAIL, 0, 0, 0, 0)
