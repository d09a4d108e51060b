"""Those who talk to a monitor: the daemon that started it, and whoever connects later.

SEQPACKET sockets with the messages of `runtime.protocol`. None of them is needed: a monitor goes on
when all are gone.
"""

from __future__ import annotations

import os
import socket
import stat

from dockerlab.runtime import protocol
from dockerlab.runtime.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerlab.runtime.loop import Loop

    Handler = Callable[[socket.socket, dict[str, Any], list[int]], None]

__all__ = ["Connections"]

_BACKLOG = 16
SOCKET_NAME = "monitor.sock"


class Connections:
    """All open connections, and the socket on which new ones arrive.

    Parameters
    ----------
    run_dir : str
        Made with mode 0700; the socket in it gets 0600. Only root, or the engine's user, may talk
        to a monitor.
    handle : callable
        Gets each message with its descriptors, which it owns.
    """

    def __init__(self, loop: Loop, run_dir: str, handle: Handler) -> None:
        self._loop = loop
        self._run_dir = run_dir
        self._handle = handle
        self._peers: dict[int, socket.socket] = {}
        self._listener: socket.socket | None = None

    def listen(self) -> None:
        """Begin to accept connections on ``monitor.sock``."""
        os.makedirs(self._run_dir, 0o700, exist_ok=True)
        path = self._path()
        _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._listener = listener
        self._loop.watch(listener.fileno(), READABLE, lambda _: self._accept())

    def add(self, sock: socket.socket) -> None:
        """Take over a connection."""
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._peers[sock.fileno()] = sock
        self._loop.watch(sock.fileno(), READABLE, lambda _: self._receive(sock))

    def broadcast(self, message: dict[str, Any]) -> None:
        """Send a message to everybody."""
        for sock in list(self._peers.values()):
            self.send(sock, message)

    def send(self, sock: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send a message to one; who does not read its messages is disconnected."""
        try:
            protocol.send(sock, message, fds)
        except OSError:
            self._drop(sock)

    def close(self) -> None:
        """Close everything and remove the folder of the socket."""
        for sock in list(self._peers.values()):
            self._drop(sock)
        if self._listener is not None:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
            _remove_stale(self._path())
            try:
                os.rmdir(self._run_dir)
            except OSError:
                return  # somebody put something there, which is not ours to remove

    def _path(self) -> str:
        return os.path.join(self._run_dir, SOCKET_NAME)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # who called has already gone
        self.add(sock)

    def _receive(self, sock: socket.socket) -> None:
        try:
            message, fds = protocol.receive(sock)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            message, fds = None, []
        if message is None:
            self._drop(sock)
        else:
            self._handle(sock, message, fds)

    def _drop(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            del self._peers[sock.fileno()]
            self._loop.forget(sock.fileno())
            sock.close()


def _remove_stale(path: str) -> None:
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        return
