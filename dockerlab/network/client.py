"""The daemon's end of the network service: start it, ask it, find it again.

Requests are answered in their order, so one lock and one reader are enough.
"""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dockerlab.errors import EngineFailure
from dockerlab.kernel.fds import OwnedFd, recv_message, send_message
from dockerlab.network.messages import (
    VERSION,
    Answer,
    EndpointPlan,
    Hello,
    NetworkPlan,
    SandboxPlan,
    error_of,
)

__all__ = ["NetworkClient"]


class NetworkClient:
    """A connection to the network service of one engine.

    Parameters
    ----------
    path : Path
        Its socket.
    mark : str
        The engine's eight hexadecimal digits.
    log_fd : int
        Its standard error.
    holder : Path, optional
        The socket of the engine's namespaces, without root.
    """

    def __init__(self, path: Path, mark: str, log_fd: int, holder: Path | None = None) -> None:
        self._path, self._mark, self._log_fd, self._holder = path, mark, log_fd, holder
        self._sock: socket.socket | None = None
        self._lock = asyncio.Lock()
        self._number = 0

    @property
    def is_connected(self) -> bool:
        """Tell whether a service answers, as far as is known."""
        return self._sock is not None

    async def connect(self) -> Hello:
        """Find the service, or start it.

        Raises
        ------
        EngineFailure
            It does not start, or is of another version; the engine's log says why.
        """
        if not self._find():
            self._start()
            if not self._find():
                raise EngineFailure("the network service does not start; the engine's log says why")
        hello: Hello = await self._ask("hello", None, Hello)
        if hello.version != VERSION:
            raise EngineFailure(
                "the network service that runs is of another version of dockerlab",
                "stop all containers, and start the engine again",
            )
        return hello

    async def sync(self, plans: Sequence[NetworkPlan]) -> None:
        """Have just these networks."""
        await self._ask("sync", plans, None)

    async def open(
        self, plan: SandboxPlan, namespace: int | None = None
    ) -> tuple[OwnedFd, list[int]]:
        """Open a sandbox; returns its namespace and the ports of the host, in the plan's order."""
        fds = () if namespace is None else (namespace,)
        ports, given = await self._exchange("open", plan, list[int], fds)
        return given[0], ports

    async def watch(self, sandbox: str, pidfd: int) -> None:
        """Have the sandbox closed when a process ends, whether or not a daemon runs then."""
        await self._ask("watch", {"sandbox": sandbox}, None, (pidfd,))

    async def join(
        self, sandbox: str, endpoint: EndpointPlan, upstreams: tuple[str, ...] | None = None
    ) -> None:
        """Put a running container on one more network; `upstreams` as in `SandboxPlan`."""
        args = {"sandbox": sandbox, "endpoint": endpoint, "upstreams": upstreams}
        await self._ask("connect", args, None)

    async def leave(self, sandbox: str, network: str) -> None:
        """Take a running container off a network."""
        await self._ask("leave", {"sandbox": sandbox, "network": network}, None)

    async def close_sandbox(self, sandbox: str) -> None:
        """Take a container's network back."""
        await self._ask("close", {"sandbox": sandbox}, None)

    def close(self) -> None:
        """Let go of the service: it goes on while containers need it."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    # ------------------------------------------------------------------------------------------

    def _find(self) -> bool:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(str(self._path))
        except OSError:
            sock.close()
            return False
        sock.setblocking(False)  # noqa: FBT003
        self._sock = sock
        return True

    def _start(self) -> None:
        """Start the service on a socket that listens already, so that nobody waits for it."""
        self._path.unlink(missing_ok=True)  # A killed one's; who has the engine's lock has this.
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            listener.listen()
            command = [sys.executable, "-m", "dockerlab.network", "--listener"]
            command += [str(listener.fileno()), "--mark", self._mark]
            if self._holder is not None:
                command += ["--holder", str(self._holder)]
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log_fd,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        # Nobody asks how it ended; but it must not stay behind as a zombie when it does.
        threading.Thread(target=process.wait, name="network service", daemon=True).start()

    async def _ask(self, verb: str, args: Any, kind: Any, fds: Sequence[int] = ()) -> Any:
        result, given = await self._exchange(verb, args, kind, fds)
        for owned in given:
            owned.close()
        return result

    async def _exchange(
        self, verb: str, args: Any, kind: Any, fds: Sequence[int] = ()
    ) -> tuple[Any, list[OwnedFd]]:
        # To the end, whether or not who asked stays: an answer that nobody takes would be the next
        # one's.
        exchange = asyncio.ensure_future(self._round_trip(verb, args, fds))
        data, given = await asyncio.shield(exchange)
        answer = msgspec.json.decode(data, type=Answer)
        if answer.error is not None:
            raise error_of(answer.error)
        return (msgspec.json.decode(answer.result, type=kind) if kind else None), given

    async def _round_trip(
        self, verb: str, args: Any, fds: Sequence[int]
    ) -> tuple[bytes, list[OwnedFd]]:
        async with self._lock:
            sock = self._sock
            if sock is None:
                raise EngineFailure("the network service is not connected")
            self._number += 1
            request = {"id": self._number, "verb": verb, "args": args}
            try:
                send_message(sock, msgspec.json.encode(request), tuple(fds))
            except OSError as error:
                self.close()
                raise EngineFailure("the network service has ended") from error
            answered = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(sock, answered.set)
            try:
                await answered.wait()
            finally:
                loop.remove_reader(sock)
            try:
                answer, given = recv_message(sock)
            except ConnectionResetError:
                answer, given = b"", []
            if not answer:
                self.close()
                raise EngineFailure("the network service has ended; the engine's log says why")
            return answer, [OwnedFd(fd) for fd in given]
