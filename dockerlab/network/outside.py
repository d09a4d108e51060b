"""The part of the network service that stays outside: a process that makes sockets of the host.

Without root the service lives in the engine's own network namespace. What has to be the host's, the
listeners of published ports, the way to its name servers, and the program that leads out, is asked
of this process, which was forked before; descriptors come back over a socket (SCM_RIGHTS, unix(7)).
As root the service is in the host's namespace itself, and there is no such process.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EPERM
from socket import socket as Socket  # noqa: N812 - a method here has the other name
from typing import Any

from dockerlab.errors import Conflict, EngineFailure, Forbidden, InvalidArgument
from dockerlab.kernel import syscalls
from dockerlab.kernel.fds import recv_message, send_message

__all__ = ["Outside"]

_BACKLOG = 4096
_UNBOUND = -1


class Outside:
    """The service's end of the conversation; any thread may ask.

    Parameters
    ----------
    is_apart : bool
        The service is going to leave the host's network namespace. To be made before it does, and
        before it has threads.
    """

    def __init__(self, *, is_apart: bool) -> None:
        self._lock = threading.Lock()
        self._sock: Socket | None = None
        if not is_apart:
            return
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self._sock.close()
            _run_child(lambda: _serve(theirs))
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
        question = {"protocol": protocol, "address": address, "port": port}
        try:
            return self._socket(question)
        except OSError as error:
            raise _refusal(error, question) from error

    def socket(self, protocol: str, address: str) -> Socket:
        """Return a socket of the host that can be connected to `address`; it is neither yet.

        Raises
        ------
        OSError
            There are no descriptors left, say.
        """
        return self._socket({"protocol": protocol, "address": address, "port": _UNBOUND})

    def start(self, command: Sequence[str], fds: Sequence[int]) -> int:
        """Start a program on the host that ends with this service; returns its number.

        Parameters
        ----------
        command : sequence of str
            ``{0}`` and so on are replaced by names of the descriptors that it is given.

        Raises
        ------
        EngineFailure
            It cannot be started.
        """
        answer, _ = self._ask({"command": list(command)}, fds)
        if "errno" in answer:
            reason = os.strerror(answer["errno"])
            raise EngineFailure(f'"{command[0]}" cannot be started: {reason}')
        return int(answer["pid"])

    def stop(self, pid: int) -> None:
        """End a program that was started."""
        self._ask({"stop": pid})

    def _socket(self, question: dict[str, Any]) -> Socket:
        if self._sock is None:
            return _make(**question)
        answer, fds = self._ask(question)
        if not fds:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        return socket.socket(fileno=fds[0])

    def _ask(
        self, question: dict[str, Any], given: Sequence[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        if self._sock is None:
            raise EngineFailure("the network service is not apart from the host")
        with self._lock:
            send_message(self._sock, json.dumps(question).encode(), tuple(given))
            data, fds = recv_message(self._sock)
        if not data:
            raise EngineFailure("the network service has lost its outer half", "restart the engine")
        answer: dict[str, Any] = json.loads(data)
        return answer, fds


def _refusal(error: OSError, question: dict[str, Any]) -> Exception:
    address, port = str(question["address"]), question["port"]
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    message = f"cannot publish {where}/{question['protocol']}: "
    match error.errno:
        case errno if errno in (EACCES, EPERM):
            hint = "choose a port from 1024 on, or have root lower"
            hint += " net.ipv4.ip_unprivileged_port_start"
            return Forbidden(f"{message}this user may not have ports below 1024", hint)
        case errno if errno == EADDRINUSE:
            # Docker's words, which scripts look for.
            hint = "choose another port of the host, or end what uses this one"
            return Conflict(f"{message}port is already allocated", hint)
        case errno if errno == EADDRNOTAVAIL:
            hint = "choose an address that this host has"
            return InvalidArgument(f"{message}this host does not have the address", hint)
    return EngineFailure(f"{message}{error.strerror}")


def _run_child(serve: Callable[[], None]) -> None:
    """Live as a forked process, which never returns into what its parent was doing."""
    try:
        serve()
    finally:
        os._exit(0)


def _serve(sock: socket.socket) -> None:
    """Make sockets until the other side is gone; the whole life of a process."""
    os.setsid()
    syscalls.set_process_name("dl-outside")
    syscalls.close_range(3, sock.fileno() - 1)
    syscalls.close_range(sock.fileno() + 1)
    children: dict[int, subprocess.Popen[bytes]] = {}
    try:
        while True:
            data, fds = recv_message(sock)
            if not data:
                break
            _answer(sock, json.loads(data), fds, children)
            for fd in fds:
                os.close(fd)
    finally:
        for pid in list(children):
            _stop(children, pid)


def _answer(
    sock: socket.socket,
    question: dict[str, Any],
    fds: list[int],
    children: dict[int, subprocess.Popen[bytes]],
) -> None:
    answer, given = {}, []
    try:
        if "command" in question:
            names = [f"/proc/self/fd/{fd}" for fd in fds]
            command = [part.format(*names) for part in question["command"]]
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, pass_fds=fds)
            children[child.pid] = child
            answer = {"pid": child.pid}
        elif "stop" in question:
            _stop(children, question["stop"])
        else:
            given = [_make(**question)]
    except OSError as error:
        answer = {"errno": error.errno or 0}
    send_message(sock, json.dumps(answer).encode(), [made.fileno() for made in given])
    for made in given:
        made.close()


def _stop(children: "dict[int, subprocess.Popen[bytes]]", pid: int) -> None:
    child = children.pop(pid, None)
    if child is not None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL)
        child.wait()


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
