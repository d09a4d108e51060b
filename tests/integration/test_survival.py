"""``kill -9`` of the daemon with twenty containers and people at work in them: nothing drops."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.terminals import Terminal, on_terminal

RUNNING = 20
# Counts, a line every fifth of a second, and ends with its own status when /stop appears.
COUNT = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; sleep 0.2; done; exit $STATUS"
LEAVE = "echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo done; exit 99"


def _pid(client: docker.DockerClient, name: str) -> int:
    return int(client.api.inspect_container(name)["State"]["Pid"])


def _lines(client: docker.DockerClient, name: str) -> list[int]:
    return [int(line) for line in client.containers.get(name).logs().split()]


def _attach(engine: EngineUnderTest, name: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(str(engine.socket))
    path = f"/containers/{name}/attach?stream=1&stdout=1"
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    return connection


def _read_frames(connection: socket.socket) -> bytes:
    """Return the payloads up to the end of the stream."""
    data = b"".join(iter(lambda: connection.recv(65536), b""))
    payloads = b""
    while data:
        length = int.from_bytes(data[4:8])
        payloads, data = payloads + data[8 : 8 + length], data[8 + length :]
    return payloads


@contextlib.contextmanager
def _at_a_terminal(engine: EngineUnderTest, *arguments: str) -> Iterator[Terminal]:
    environ = {"DOCKER_HOST": engine.address, "TERM": "xterm"}
    with on_terminal(["docker", *arguments], environ) as terminal:
        terminal.wait_for(b"# ")
        yield terminal


@pytest.mark.needs_docker_cli
def test_nothing_drops_when_the_daemon_is_killed(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")
    names = [f"c{number}" for number in range(RUNNING - 2)]
    for number, name in enumerate(names):
        client.containers.run(
            "busybox", ["sh", "-c", COUNT], name=name, detach=True, environment=[f"STATUS={number}"]
        )
    client.containers.run("busybox", ["sh", "-c", LEAVE], name="leaver", detach=True)
    attached = _attach(fresh_engine, "c0")
    with (
        attached,
        _at_a_terminal(fresh_engine, "run", "-it", "--name", "desk", "busybox") as desk,
        _at_a_terminal(fresh_engine, "exec", "-it", "c1", "sh") as guest,
    ):
        pids = {name: _pid(client, name) for name in (*names, "desk", "leaver")}
        assert len(pids) == RUNNING
        seen = {name: len(_lines(client, name)) for name in names}

        fresh_engine.kill()
        for terminal in (desk, guest):
            terminal.type(b"echo still $((40+2))\r")
            terminal.wait_for(b"still 42")
        Path(f"/proc/{pids['leaver']}/root/tmp/go").touch()
        wait_until(lambda: not Path(f"/proc/{pids['leaver']}").exists(), "the leaver leaves")
        fresh_engine.start()

        client = fresh_engine.connect()
        for terminal in (desk, guest):
            terminal.type(b"echo again $((50+3))\r")
            terminal.wait_for(b"again 53")
        assert {name: _pid(client, name) for name in names} == {n: pids[n] for n in names}
        wait_until(
            lambda: all(len(_lines(client, name)) > seen[name] + 5 for name in names),
            "all go on counting",
        )
        desk.type(b"exit 66\r")
        guest.type(b"exit 67\r")
        desk.end()
        guest.end()
        for pid in (pids[name] for name in names):
            Path(f"/proc/{pid}/root/stop").touch()
        expected = {**{name: number for number, name in enumerate(names)}, "desk": 66, "leaver": 99}
        for name, status in expected.items():
            assert client.containers.get(name).wait()["StatusCode"] == status, name
        payloads = _read_frames(attached)

    for name in names:
        lines = _lines(client, name)
        assert lines == list(range(1, len(lines) + 1)), name
    assert client.containers.get("leaver").logs() == b"begun\ndone\n"
    assert b"still 42" in client.containers.get("desk").logs()
    # The one who was attached saw what is in the log, from when they came on to the end.
    counted = [int(line) for line in payloads.split()]
    assert counted == _lines(client, "c0")[counted[0] - 1 :]


def test_the_next_daemon_knows_how_an_exec_ended(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")
    client.containers.run("busybox", ["sleep", "60"], name="host", detach=True)
    scripts = {
        "ends without a daemon": "while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 21",
        "goes on": "while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 22",
        "had ended": "exit 23",
        "ends with its container": "sleep 100",
    }
    execs = {
        name: client.api.exec_create("host", ["sh", "-c", s])["Id"] for name, s in scripts.items()
    }
    for exec_id in execs.values():
        client.api.exec_start(exec_id, detach=True)
    wait_until(lambda: not client.api.exec_inspect(execs["had ended"])["Running"], "it ends")
    pid = client.api.exec_inspect(execs["ends without a daemon"])["Pid"]
    root = Path(f"/proc/{_pid(client, 'host')}/root/tmp")

    fresh_engine.kill()
    (root / "go").touch()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "one ends")
    fresh_engine.start()

    client = fresh_engine.connect()

    def status(name: str) -> tuple[bool, int | None]:
        found = client.api.exec_inspect(execs[name])
        return found["Running"], found["ExitCode"]

    assert status("ends without a daemon") == (False, 21)
    assert status("had ended") == (False, 23)
    assert status("goes on") == (True, None)
    (root / "end").touch()
    wait_until(lambda: status("goes on") == (False, 22), "the other ends")
    client.containers.get("host").kill()
    assert status("ends with its container")[1] == 137

    fresh_engine.kill()
    fresh_engine.start()
    client = fresh_engine.connect()
    assert [status(name)[1] for name in scripts] == [21, 22, 23, 137]
