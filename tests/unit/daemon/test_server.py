import asyncio
import os
import signal
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dockerlab.config import Settings
from dockerlab.daemon.backend import Engine
from dockerlab.daemon.server import EmbeddedHub, listen, serve
from dockerlab.errors import Conflict
from tests.unit.daemon.conftest import Connection
from tests.unit.daemon.memory import MemoryEngine


def settings(folder: Path, idle_exit_s: float = 0.0, name: str = "root") -> Settings:
    return Settings(
        data_root=folder / name,
        runtime_dir=folder / "run",
        socket_path=folder / "run" / "engine.sock",
        log_path=folder / name / "engine.log",
        idle_exit_s=idle_exit_s,
    )


class Served:
    """One `serve`, with what it opened."""

    def __init__(self) -> None:
        self.engine: MemoryEngine
        self.is_ready = asyncio.Event()
        self.path: Path

    async def open(self, _settings: Settings, _hub: Callable[[], Awaitable[str]]) -> Engine:
        self.engine = MemoryEngine()
        return self.engine

    def ready(self, path: Path) -> None:
        self.path = path
        self.is_ready.set()


def get(path: Path, target: str, method: str = "GET") -> int:
    connection = Connection(path)
    connection.request(method, target)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_socket_is_its_users_alone_from_the_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "run" / "engine.sock"
    with listen(path):
        mode = path.lstat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


def test_a_socket_that_nobody_answers_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with listen(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_that_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with listen(path):
        with pytest.raises(Conflict, match="another engine answers"), listen(path):
            pass
        assert path.exists()


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    path.write_text("mine")
    with pytest.raises(Conflict, match="something else than a socket"), listen(path):
        pass
    assert path.read_text() == "mine"


def test_a_successors_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with listen(path):
        path.unlink()
        path.write_text("a successor's")
    assert path.exists()


def test_a_second_daemon_on_a_data_root_is_told_the_first_ones_pid(short_path: Path) -> None:
    async def run() -> None:
        first, second = Served(), Served()
        serving = asyncio.ensure_future(serve(settings(short_path), first.open, first.ready))
        await first.is_ready.wait()
        with pytest.raises(Conflict, match=rf"already running on .* \(pid {os.getpid()}\)"):
            await serve(settings(short_path), second.open, second.ready)
        assert await asyncio.to_thread(get, first.path, "/_ping") == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await serving

    asyncio.run(run())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(short_path: Path, number: signal.Signals) -> None:
    async def run() -> None:
        served = Served()
        serving = asyncio.ensure_future(serve(settings(short_path), served.open, served.ready))
        await served.is_ready.wait()
        os.kill(os.getpid(), number)
        await serving
        assert served.engine.is_closed
        assert not served.path.exists()

    asyncio.run(run())


def test_a_request_can_end_it_and_is_answered(short_path: Path) -> None:
    async def run() -> None:
        served = Served()
        serving = asyncio.ensure_future(serve(settings(short_path), served.open, served.ready))
        await served.is_ready.wait()
        assert await asyncio.to_thread(get, served.path, "/dockerlab/shutdown", "POST") == 200
        await serving

    asyncio.run(run())


def test_it_ends_when_nobody_wants_anything(short_path: Path) -> None:
    async def run() -> None:
        served = Served()
        await serve(settings(short_path, idle_exit_s=0.05), served.open, served.ready)
        assert served.engine.is_closed

    asyncio.run(run())


def test_it_does_not_end_while_there_is_work(short_path: Path) -> None:
    async def run() -> None:
        served = Served()
        serving = asyncio.ensure_future(
            serve(settings(short_path, idle_exit_s=0.05), served.open, served.ready)
        )
        await served.is_ready.wait()
        served.engine.has_work = True
        await asyncio.sleep(0.3)
        assert not serving.done()
        served.engine.has_work = False
        await serving

    asyncio.run(run())


def test_it_does_not_end_while_a_request_is_open(short_path: Path) -> None:
    async def run() -> None:
        served = Served()
        serving = asyncio.ensure_future(
            serve(settings(short_path, idle_exit_s=0.05), served.open, served.ready)
        )
        await served.is_ready.wait()
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
        assert not serving.done()
        writer.close()
        await writer.wait_closed()
        await serving

    asyncio.run(run())


def test_a_client_that_streams_does_not_hold_up_the_end(short_path: Path) -> None:
    async def run() -> None:
        served = Served()
        serving = asyncio.ensure_future(serve(settings(short_path), served.open, served.ready))
        await served.is_ready.wait()
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serving, 8)
        writer.close()
        await writer.wait_closed()

    asyncio.run(run())


def test_the_embedded_hub_is_one_registry_however_often_it_is_asked_for(tmp_path: Path) -> None:
    async def run() -> None:
        hub = EmbeddedHub(tmp_path / "hub")
        try:
            first, second = await asyncio.gather(hub.address(), hub.address())
            assert first == second
            reader, writer = await asyncio.open_connection(*first.split(":"))
            writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
            writer.close()
            await writer.wait_closed()
        finally:
            hub.close()

    asyncio.run(run())
