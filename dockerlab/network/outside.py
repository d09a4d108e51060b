"""The part of the network service that stays outside: a process that makes sockets of the host.

Without root the service lives in the engine's own network namespace. What has to be the host's,
the listeners of published ports and the way to its name servers, is asked of this process, which
was forked before; the descriptors come back over a socket (SCM_RIGHTS, unix(7)). As root both are
in the host's namespace, and it is done in the same way.
"""

import json
import os
import socket
import threading
from socket import socket as Socket  # noqa: N812 - a method here has the other name
from typing import Any

from dockerlab.errors import Conflict, EngineFailure, Forbidden, InvalidArgument
from dockerlab.kernel import syscalls
from dockerlab.kernel.fds import recv_message, send_message

__all__ = ["Outside"]

_BACKLOG = 4096
_UNBOUND = -1


class Outside:
    """The service's end of the conversation; any thread may ask."""

    def __init__(self) -> None:
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        if os.fork() == 0:
            self._sock.close()
            _serve(theirs)
        theirs.close()

    def listener(self, protocol: str, address: str, port: int) -> Socket:
        """Return a bound socket of the host, listening if it is TCP.

        Parameters
        ----------
        protocol : str
            ``tcp`` or ``udp``.
        port : int
            0 lets the kernel choose.

        Raises
        ------
        Conflict
            The port is taken.
        Forbidden
            This user may not have it.
        InvalidArgument
            The host does not have the address.
        """
        return self._ask({"protocol": protocol, "address": address, "port": port})

    def socket(self, protocol: str, address: str) -> Socket:
        """Return a socket of the host that can be connected to `address`; it is neither yet."""
        return self._ask({"protocol": protocol, "address": address, "port": _UNBOUND})

    def _ask(self, question: dict[str, object]) -> Socket:
        with self._lock:
            send_message(self._sock, json.dumps(question).encode())
            data, fds = recv_message(self._sock)
        if not data:
            raise EngineFailure("the network service has lost its outer half", "restart the engine")
        if not fds:
            raise _refusal(json.loads(data)["errno"], question)
        return socket.socket(fileno=fds[0])


def _refusal(errno: int, question: dict[str, object]) -> Exception:
    reason = os.strerror(errno).lower()
    where = f"{question['address']}:{question['port']}/{question['protocol']}"
    message = f"cannot publish {where}: {reason}"
    error = OSError(errno, reason)
    match error:
        case PermissionError():
            hint = (
                "take a port from 1024 on, or have root lower net.ipv4.ip_unprivileged_port_start"
            )
            return Forbidden(message, hint)
        case OSError(errno=98):
            return Conflict(message, "choose another port of the host, or end what uses this one")
        case OSError(errno=99):
            return InvalidArgument(message, "choose an address that this host has")
        case _:
            return EngineFailure(message)


def _serve(sock: socket.socket) -> None:
    """Make sockets until the other side is gone; the whole life of a process."""
    os.setsid()
    syscalls.set_process_name("dl-outside")
    syscalls.close_range(3, sock.fileno() - 1)
    syscalls.close_range(sock.fileno() + 1)
    try:
        while True:
            data, _ = recv_message(sock)
            if not data:
                break
            _answer(sock, json.loads(data))
    finally:
        os._exit(0)


def _answer(sock: socket.socket, question: dict[str, Any]) -> None:
    try:
        made = _make(
            str(question["protocol"]), str(question["address"]), int(str(question["port"]))
        )
    except OSError as error:
        send_message(sock, json.dumps({"errno": error.errno or 0}).encode())
        return
    with made:
        send_message(sock, b"{}", [made.fileno()])


def _make(protocol: str, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(family, kind)
    if port == _UNBOUND:
        return sock
    try:
        if family == socket.AF_INET6:
            # The port of IPv4 is a listener of its own, as Docker shows it.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if protocol == "tcp":
            sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
