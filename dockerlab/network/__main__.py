"""``python -m dockerlab.network``: the network service of one engine, a process of its own.

It listens on a socket of the engine's runtime folder and outlives the daemon, as containers do. It
ends, and takes its links and rules along, when no daemon is connected and no container has its
network from here.
"""

import argparse
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import msgspec

from dockerlab.errors import DockerlabError, EngineFailure
from dockerlab.kernel import constants, syscalls
from dockerlab.kernel.fds import OwnedFd, recv_message, send_message
from dockerlab.network.links import Links
from dockerlab.network.messages import (
    Answer,
    EndpointPlan,
    NetworkPlan,
    Request,
    SandboxPlan,
    error_body,
)
from dockerlab.network.outside import Outside
from dockerlab.network.service import Service
from dockerlab.network.uplink import Uplink, start_uplink

_JOIN_TIMEOUT_S = 5.0
_SCARCE_S = 0.5


class _Watch(msgspec.Struct):
    sandbox: str


class _Connect(msgspec.Struct):
    sandbox: str
    endpoint: EndpointPlan
    upstreams: tuple[str, ...] | None = None


class _Leave(msgspec.Struct):
    sandbox: str
    network: str


class Server:
    """The socket of the service: clients, requests, and the ends that are waited for."""

    def __init__(self, service: Service, listener: socket.socket) -> None:
        self._service = service
        self._listener = listener
        self._clients: dict[int, socket.socket] = {}

    def run(self) -> None:
        """Serve until nobody needs it."""
        self._accept()
        while self._clients or not self._service.is_idle:
            poll = select.poll()
            poll.register(self._listener, select.POLLIN)
            for client in self._clients.values():
                poll.register(client, select.POLLIN)
            ends = dict(self._service.watched())
            for pidfd in ends:
                poll.register(pidfd, select.POLLIN)
            # Ahead is made only what nobody has to wait for.
            ready = poll.poll(0)
            if not ready and not self._service.prepare():
                ready = poll.poll()
            for fd, _ in ready:
                self._handle(fd, ends)
        self._service.end()

    def _handle(self, fd: int, ends: dict[int, str]) -> None:
        if fd == self._listener.fileno():
            self._accept()
        elif fd in ends:
            self._service.close(ends[fd])
        elif fd in self._clients:
            self._serve(self._clients[fd])

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError as error:
            # Who waits goes on waiting; asked at once again, the kernel would say the same.
            sys.stderr.write(f"network service: {error}\n")
            time.sleep(_SCARCE_S)
            return
        self._clients[client.fileno()] = client

    def _serve(self, client: socket.socket) -> None:
        try:
            data, fds = recv_message(client)
        except OSError:
            data, fds = b"", []
        if not data:
            del self._clients[client.fileno()]
            client.close()
            return
        owned = [OwnedFd(fd) for fd in fds]
        request = msgspec.json.decode(data, type=Request)
        given: list[int] = []
        try:
            answer, given = self._do(request, owned)
        except Exception as error:  # noqa: BLE001 - it must not end what other containers live on
            if not isinstance(error, DockerlabError):
                traceback.print_exc()
            answer = Answer(id=request.id, error=error_body(error))
        try:
            send_message(client, msgspec.json.encode(answer), given)
        except OSError:
            return  # Its end comes next.

    def _do(self, request: Request, fds: list[OwnedFd]) -> tuple[Answer, list[int]]:
        service, args = self._service, request.args
        result: object = None
        given: list[int] = []
        match request.verb:
            case "hello":
                result = service.hello()
            case "sync":
                service.sync(msgspec.json.decode(args, type=list[NetworkPlan]))
            case "open":
                plan = msgspec.json.decode(args, type=SandboxPlan)
                result = service.open(plan, fds[0] if fds else None)
                given = [service.namespace(plan.id)]
            case "watch":
                service.watch(msgspec.json.decode(args, type=_Watch).sandbox, fds[0])
            case "connect":
                connect = msgspec.json.decode(args, type=_Connect)
                service.connect(connect.sandbox, connect.endpoint, connect.upstreams)
            case "leave":
                leave = msgspec.json.decode(args, type=_Leave)
                service.leave(leave.sandbox, leave.network)
            case "close":
                service.close(msgspec.json.decode(args, type=_Watch).sandbox)
            case verb:
                raise EngineFailure(f'the network service knows no "{verb}"')
        return Answer(id=request.id, result=msgspec.Raw(msgspec.json.encode(result))), given


def main() -> None:
    """Serve the networks of one engine."""
    parser = argparse.ArgumentParser(prog="python -m dockerlab.network", description=__doc__)
    parser.add_argument("--listener", type=int, required=True, help="the number of its socket")
    parser.add_argument("--mark", required=True, help="the engine's eight hexadecimal digits")
    parser.add_argument("--holder", help="the socket of the engine's namespaces, without root")
    options = parser.parse_args()
    os.chdir("/")
    syscalls.set_process_name("dl-network")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # The last container's end ends it, or SIGKILL.
    listener = socket.socket(fileno=options.listener)
    listener.set_inheritable(False)
    _raise_limit()
    # Forked before there are threads, and before this process leaves the host's namespaces.
    outside = Outside(is_apart=options.holder is not None)
    keeper, fds = _enter(options.holder) if options.holder else (None, [])
    links = Links(options.mark)
    uplink = start_uplink(outside, links, (fds[0], fds[1])) if fds else Uplink()
    for fd in fds:
        os.close(fd)
    try:
        Server(Service(options.mark, outside, links, uplink), listener).run()
    finally:
        Path(listener.getsockname()).unlink(missing_ok=True)
        del keeper


def _raise_limit() -> None:
    """Have as many descriptors as the host allows: a connection to a published port takes two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _enter(holder: str) -> tuple[socket.socket, list[int]]:
    """Enter the engine's user and network namespaces; the holder stays while the socket is open.

    Returns the socket, and descriptors of both.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(_JOIN_TIMEOUT_S)
    connection.connect(holder)
    _, fds = recv_message(connection)
    for fd, flag in zip(fds, (constants.CLONE_NEWUSER, constants.CLONE_NEWNET), strict=True):
        syscalls.setns(fd, flag)
    return connection, fds


if __name__ == "__main__":
    main()
