"""A real server on a real unix socket, in a thread, with an engine in memory behind it."""

import asyncio
import gc
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import docker
import pytest

from dockerlab.daemon.handler import Activity, Services
from dockerlab.daemon.server import listen, serving
from tests.unit.daemon.memory import MemoryEngine


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


class Daemon:
    """The server under test, seen from outside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine: MemoryEngine
        self.activity: Activity
        self.loop: asyncio.AbstractEventLoop
        self.shutdowns = 0
        self._stop: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def begin(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.engine = MemoryEngine()
        self.activity = Activity()
        services = Services(engine=self.engine, activity=self.activity, shut_down=self._count)
        with listen(self.path) as listener:
            async with serving(listener, services):
                self._ready.set()
                await self._stop.wait()
        await self.engine.close()

    def _count(self) -> None:
        self.shutdowns += 1

    def on_loop(self, call: Callable[[], Any]) -> Any:
        """Run `call` on the server's loop and return what it gives."""

        async def run() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def wait_until(self, event: asyncio.Event) -> None:
        asyncio.run_coroutine_threadsafe(event.wait(), self.loop).result(10)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        raw = body if isinstance(body, bytes | None) else json.dumps(body)
        with closing(Connection(self.path)) as connection:
            connection.request(method, path, raw, headers or {})
            with closing(connection.getresponse()) as answer:
                data = answer.read()
        return answer.status, dict(answer.getheaders()), data

    def json(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, _, data = self.request(method, path, body)
        return status, json.loads(data) if data else None

    def raw(self, data: bytes) -> socket.socket:
        """Connect and send bytes as they are."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(str(self.path))
        connection.sendall(data)
        return connection

    def create(self, *cmd: str, name: str = "c", **config: Any) -> str:
        """Create a container and return its id."""
        body = {"Image": "busybox", "Cmd": list(cmd), **config}
        status, answer = self.json("POST", f"/containers/create?name={name}", body)
        assert status == 201, answer
        return str(answer["Id"])


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    # A short path: unix(7) allows 107 bytes, and pytest's folders are long.
    with tempfile.TemporaryDirectory(prefix="dl") as folder:
        running = Daemon(Path(folder) / "engine.sock")
        running.begin()
        try:
            yield running
        finally:
            running.end()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[docker.DockerClient]:
    with ExitStack() as stack:
        made = docker.DockerClient(f"unix://{daemon.path}", timeout=10)
        # docker-py leaves the sockets of its streams to the collector: not in another test.
        stack.callback(gc.collect)
        stack.callback(made.close)
        yield made


Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cli(daemon: Daemon, tmp_path: Path) -> Cli:
    """The real docker command line client."""
    program = shutil.which("docker")
    if program is None:
        pytest.skip("the docker command line client is not installed")

    def run(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        environment = {
            "DOCKER_HOST": f"unix://{daemon.path}",
            "DOCKER_CONFIG": str(tmp_path),
            "PATH": os.environ["PATH"],
        }
        return subprocess.run(
            [program, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            **options,
        )

    return run


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A temporary folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="dl") as folder:
        yield Path(folder)
