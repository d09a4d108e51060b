"""The life of the daemon: listen, serve, end when told to or when nobody needs it.

Read `serve`. The lock is in `lock`, the log in `logfile`, the routes in `app`.
"""

import asyncio
import logging
import os
import shutil
import signal
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import add_accept_handler

from dockerlab.config import Settings
from dockerlab.daemon.app import make_app
from dockerlab.daemon.backend import Engine
from dockerlab.daemon.handler import Activity, Services
from dockerlab.daemon.hijack import ClientStream
from dockerlab.daemon.lock import hold_lock
from dockerlab.errors import Conflict

__all__ = ["EmbeddedHub", "OpenEngine", "listen", "serve", "serving"]

HubAddress = Callable[[], Awaitable[str]]
OpenEngine = Callable[[Settings, HubAddress], Awaitable[Engine]]

_log = logging.getLogger("dockerlab.daemon")

_MAX_BODY_BYTES = 4 << 20
_MAX_HEADER_BYTES = 64 << 10
# What a client sends behind an attach request is handed over in one datagram: keep it small.
_READ_CHUNK_BYTES = 16 << 10
_BACKLOG = 512
_LAST_ANSWERS_S = 2.0
_IDLE_CHECKS = 10


async def serve(settings: Settings, open_engine: OpenEngine, ready: Callable[[Path], None]) -> None:
    """Be the daemon of `settings` until a signal, a request or idleness ends it.

    Parameters
    ----------
    open_engine : callable
        Opens the engine, given the settings and the way to the embedded hub.
    ready : callable
        Called with the socket's path when requests are answered.

    Raises
    ------
    Conflict
        Another daemon has the data root or the socket.
    """
    stop = asyncio.Event()
    activity = Activity()
    async with AsyncExitStack() as stack:
        stack.enter_context(hold_lock(settings.data_root))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _note_signal, number, stop)
        # Last of all, still under the lock: nobody else can have begun to use the folder.
        stack.callback(_remove_if_empty, settings.runtime_dir)
        # Before the engine is open: clients that connect meanwhile wait in the kernel's queue.
        listener = stack.enter_context(listen(settings.socket_path))
        hub = EmbeddedHub(settings.data_root / "hub")
        stack.callback(hub.close)
        engine = await open_engine(settings, hub.address)
        stack.push_async_callback(engine.close)
        services = Services(engine=engine, activity=activity, shut_down=stop.set)
        await stack.enter_async_context(serving(listener, services))
        ready(settings.socket_path)
        _log.info("listening on %s, pid %d", settings.socket_path, os.getpid())
        watch = asyncio.ensure_future(_stop_when_idle(settings.idle_exit_s, services))
        stack.callback(watch.cancel)
        await stop.wait()
        _log.info("closing")


@contextmanager
def listen(path: Path) -> Iterator[socket.socket]:
    """Listen on a unix socket that only this user can reach; the path goes with the block.

    A socket that a killed daemon left is replaced. The caller holds the lock of the data root, but
    another data root's daemon may have been given the same path: one that answers is left alone.

    Raises
    ------
    Conflict
        Somebody answers there, or the path is something else than a socket.
    """
    # The folder keeps others out even before the socket has its mode (unix(7), "Pathname socket
    # ownership and permissions"); one that exists is the user's own choice.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        listener.settimeout(0.0)
        # bind(2) makes the file with the process's mask: there is no moment with another mode.
        mask = os.umask(0o177)
        try:
            listener.bind(os.fspath(path))
        finally:
            os.umask(mask)
        made = path.lstat()
        try:
            listener.listen(_BACKLOG)
            yield listener
        finally:
            with suppress(FileNotFoundError):
                if os.path.samestat(path.lstat(), made):
                    path.unlink()


class serving:  # noqa: N801 - a context manager that reads as a verb, as contextlib's do
    """Answer requests on `listener` while the block runs; then give open requests a moment."""

    def __init__(self, listener: socket.socket, services: Services) -> None:
        self._listener = listener
        self._services = services
        self._http = HTTPServer(
            make_app(services),
            max_body_size=_MAX_BODY_BYTES,
            max_header_size=_MAX_HEADER_BYTES,
        )

    async def __aenter__(self) -> None:
        self._stop_accepting = add_accept_handler(self._listener, self._accept)

    async def __aexit__(self, *_: object) -> None:
        self._stop_accepting()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._services.activity.is_idle.wait(), _LAST_ANSWERS_S)
        # What is still open follows a log or waits: its work is cancelled by the close.
        await self._http.close_all_connections()

    def _accept(self, connection: socket.socket, address: Any) -> None:
        stream = ClientStream(
            connection, max_buffer_size=2 * _MAX_BODY_BYTES, read_chunk_size=_READ_CHUNK_BYTES
        )
        self._http.handle_stream(stream, address)


@dataclass(slots=True)
class EmbeddedHub:
    """The registry of built-in images, started at its first use on a free port of loopback.

    `folder` is for the images that it makes of this machine's programs; it is emptied at that first
    use, and removed at the end.
    """

    folder: Path
    _server: HTTPServer | None = None
    _address: str = ""
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def address(self) -> str:
        """Return ``127.0.0.1:PORT``."""
        async with self._starting:
            if not self._address:
                # Most engines never need it: import it when one does.
                from dockerlab.hub import hostimages  # noqa: PLC0415
                from dockerlab.hub.builtin import BuiltinRepositories  # noqa: PLC0415
                from dockerlab.hub.server import listen as listen_hub  # noqa: PLC0415
                from dockerlab.hub.server import make_app as make_hub  # noqa: PLC0415

                # What a killed engine has left: the machine may have changed since.
                shutil.rmtree(self.folder, ignore_errors=True)
                made = hostimages.HostRepositories(hostimages.tools_recipes(), self.folder)
                repositories = hostimages.JoinedRepositories(BuiltinRepositories(), made)
                self._server, port = listen_hub(make_hub(repositories))
                self._address = f"127.0.0.1:{port}"
        return self._address

    def close(self) -> None:
        """Stop listening, and remove what was made."""
        if self._server is not None:
            self._server.stop()
            shutil.rmtree(self.folder, ignore_errors=True)


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Conflict(f'cannot listen on "{path}": there is something else than a socket')
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as exc:
            raise Conflict(f'cannot listen on "{path}": {exc.strerror or exc}') from exc
    raise Conflict(f'cannot listen on "{path}": another engine answers there')


def _remove_if_empty(folder: Path) -> None:
    # The monitors of containers that go on have theirs in it.
    with suppress(OSError):
        folder.rmdir()


def _note_signal(number: signal.Signals, stop: asyncio.Event) -> None:
    _log.info("got %s", number.name)
    stop.set()


async def _stop_when_idle(idle_exit_s: float, services: Services) -> None:
    if idle_exit_s <= 0:
        return
    loop = asyncio.get_running_loop()
    last_busy = loop.time()
    while loop.time() - last_busy < idle_exit_s:
        await asyncio.sleep(idle_exit_s / _IDLE_CHECKS)
        if services.activity.open_requests or services.engine.has_work:
            last_busy = loop.time()
    _log.info("nothing to do for %g s", idle_exit_s)
    services.shut_down()
