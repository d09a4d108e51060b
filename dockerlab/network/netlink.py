"""Netlink by hand: messages, attributes, and one socket that asks and reads the answers.

The service sets an interface up while a container waits, so a batch of messages goes to the kernel
in one call and its answers come back in another; a library's event loop costs more than the kernel
does. netlink(7), rtnetlink(7); linux/netlink.h.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Collection, Iterator, Sequence
from errno import EIO
from typing import NamedTuple, Self

__all__ = [
    "ACK",
    "CREATE",
    "DUMP",
    "EXCLUSIVE",
    "FILTER",
    "REPLACE",
    "ROUTE",
    "Message",
    "Netlink",
    "attributes",
    "byte",
    "data",
    "nested",
    "number",
    "number_be",
    "text",
]

# Families: rtnetlink and netfilter.
ROUTE, FILTER = 0, 12

# NLM_F_...
_REQUEST, ACK = 0x1, 0x4
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
DUMP = 0x300

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
_KIND = 0x3FFF
_ERRNO_BYTES = 4
_TIMEOUT_S = 10.0
# asm-generic/socket.h; Python does not name it.
_SO_SNDBUFFORCE = 32
_BATCH_BYTES = 8 << 20
# The kernel fills at most 32 KiB of a dump at once (netlink_dump).
_RECEIVE_BYTES = 64 << 10


class Message(NamedTuple):
    """A request.

    Parameters
    ----------
    kind : int
        ``RTM_NEWLINK`` and so on.
    flags : int
        ``NLM_F_...`` beside ``NLM_F_REQUEST``; without `ACK` no answer is waited for.
    body : bytes
        The fixed header of the kind, and attributes.
    tolerated : collection of int
        Errors that are as good as success: ``EEXIST`` where something is wanted to be there.
    """

    kind: int
    flags: int
    body: bytes
    tolerated: Collection[int] = ()


def data(kind: int, value: bytes) -> bytes:
    """Return an attribute, padded to four bytes."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def byte(kind: int, value: int) -> bytes:
    """Return an attribute with a number of one byte."""
    return data(kind, bytes((value,)))


def number(kind: int, value: int) -> bytes:
    """Return an attribute with a number of four bytes, in the machine's order."""
    return data(kind, struct.pack("=I", value))


def number_be(kind: int, value: int) -> bytes:
    """Return an attribute with a number of four bytes, in the network's order."""
    return data(kind, struct.pack("!I", value))


def text(kind: int, value: str) -> bytes:
    """Return an attribute with a text that ends with a zero."""
    return data(kind, value.encode() + b"\0")


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that is made of attributes."""
    return data(kind | _NESTED, b"".join(parts))


def attributes(body: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes from `offset` on by their kinds."""
    found: dict[int, bytes] = {}
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _KIND] = body[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


class Netlink:
    """A socket in the network namespace of the thread that makes it.

    Parameters
    ----------
    family : int
        `ROUTE` or `FILTER`.
    """

    def __init__(self, family: int = ROUTE) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._sock = socket.socket(socket.AF_NETLINK, kind, family)
        self._sock.settimeout(_TIMEOUT_S)
        if family == FILTER:
            # The rules of many networks are one message. Without root, what the host allows.
            with contextlib.suppress(PermissionError):
                self._sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BATCH_BYTES)
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def ask(self, *messages: Message) -> None:
        """Send messages in one batch and wait for the answers to those that want one.

        Raises
        ------
        OSError
            The first error that is not tolerated. The messages after it were done as well, unless
            the family takes a batch as a whole.
        """
        if not messages:
            return
        waiting = self._send(messages)
        failure: OSError | None = None
        while waiting:
            for sequence, kind, body in self._receive():
                if kind != _NLMSG_ERROR:
                    continue
                (code,) = struct.unpack_from("=i", body)
                message = waiting.pop(sequence, None)
                if code and failure is None and -code not in (message.tolerated if message else ()):
                    failure = OSError(-code, os.strerror(-code))
                    if message is None:
                        raise failure  # Of the batch: nothing else is answered.
        if failure is not None:
            raise failure

    def get(self, kind: int, body: bytes) -> bytes:
        """Return the body of the one thing that is asked for.

        Raises
        ------
        OSError
            It is not there (ENODEV, say).
        """
        self._send([Message(kind, 0, body)])
        for _, answer, part in self._receive():
            if answer != _NLMSG_ERROR:
                return part
            (code,) = struct.unpack_from("=i", part)
            raise OSError(-code, os.strerror(-code))
        raise OSError(EIO, os.strerror(EIO))

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Return the bodies of all that the kernel has of a kind."""
        self._send([Message(kind, DUMP, body)])
        found: list[bytes] = []
        while True:
            for sequence, answer, part in self._receive():
                if sequence != self._number:
                    continue
                if answer in (_NLMSG_DONE, _NLMSG_ERROR):
                    (code,) = struct.unpack_from("=i", part) if len(part) >= _ERRNO_BYTES else (0,)
                    if code < 0:
                        raise OSError(-code, os.strerror(-code))
                    return found
                found.append(part)

    def _send(self, messages: Sequence[Message]) -> dict[int, Message]:
        parts, waiting = [], {}
        for message in messages:
            self._number += 1
            length = _HEADER.size + len(message.body)
            flags = message.flags | _REQUEST
            parts.append(_HEADER.pack(length, message.kind, flags, self._number, 0))
            parts += [message.body, bytes(-length % 4)]
            if flags & ACK:
                waiting[self._number] = message
        self._sock.send(b"".join(parts))
        return waiting

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        received = self._sock.recv(_RECEIVE_BYTES)
        offset = 0
        while offset + _HEADER.size <= len(received):
            length, kind, _, sequence, _ = _HEADER.unpack_from(received, offset)
            if length < _HEADER.size:
                return
            yield sequence, kind, received[offset + _HEADER.size : offset + length]
            offset += (length + 3) & ~3
