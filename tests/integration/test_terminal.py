"""Terminals, driven through a pty by the real docker client, and attached to raw."""

import json
import socket
import time
from contextlib import AbstractContextManager, closing
from typing import Any

import docker
import pytest
from docker.errors import APIError

from tests.support.engine import EngineUnderTest, recorded_events, wait_until
from tests.support.fixtures import DockerCli
from tests.support.terminals import Terminal, on_terminal

CTRL_P, CTRL_Q = b"\x10", b"\x11"
PROMPT = b"# "


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def _docker(
    engine: EngineUnderTest, *arguments: str, rows: int = 24, columns: int = 80
) -> AbstractContextManager[Terminal]:
    environ = {"DOCKER_HOST": engine.address, "TERM": "xterm"}
    return on_terminal(["docker", *arguments], environ, rows=rows, columns=columns)


def _raw(engine: EngineUnderTest, path: str, body: bytes = b"{}") -> socket.socket:
    """Return a hijacked connection, as a client without any logic of its own has it."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(str(engine.socket))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    connection.sendall(head.encode() + body)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 ")
    return connection


def _read_until(connection: socket.socket, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        data = connection.recv(4096)
        if not data:
            raise EOFError(seen)
        seen += data
    return seen


def _read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(4096), b""))


def _actions(client: docker.DockerClient, name: str) -> list[str]:
    events = recorded_events(client, since=0, filters={"container": [name]})
    return [event["Action"].partition(":")[0] for event in events]


@pytest.fixture
def shell(client: docker.DockerClient) -> str:
    """A shell on a terminal, that nobody is attached to."""
    container = client.containers.run(
        "busybox", ["sh"], name="shell", detach=True, tty=True, stdin_open=True
    )
    return str(container.name)


@pytest.mark.needs_docker_cli
def test_a_shell_is_used_resized_and_left(engine: EngineUnderTest) -> None:
    with _docker(engine, "run", "-it", "--rm", "busybox", "sh", rows=30, columns=100) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(b"stty size\r")
        terminal.wait_for(b"30 100")
        terminal.resize(41, 121)
        time.sleep(0.5)
        terminal.type(b"stty size\r")
        terminal.wait_for(b"41 121")
        terminal.type(b"exit 7\r")
        assert terminal.end() == 7


@pytest.mark.needs_docker_cli
def test_a_terminal_has_its_size_when_the_program_begins(engine: EngineUnderTest) -> None:
    with _docker(engine, "run", "-t", "--rm", "busybox", "stty", "size", rows=33) as terminal:
        assert terminal.end() == 0
        assert b"33 80" in terminal.seen


@pytest.mark.needs_docker_cli
def test_keys_detach_and_one_attaches_again(engine: EngineUnderTest, docker_cli: DockerCli) -> None:
    with _docker(engine, "run", "-it", "--name", "again", "busybox", "sh") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(b"A=kept\r")
        terminal.wait_for(PROMPT)
        terminal.type(CTRL_P, CTRL_Q)
        assert terminal.end() == 0
    assert docker_cli("inspect", "-f", "{{.State.Status}}", "again").stdout == "running\n"

    with _docker(engine, "attach", "--detach-keys", "ctrl-a,d", "again") as terminal:
        terminal.type(b"echo $A is; stty size\r")
        terminal.wait_for(b"kept is")
        terminal.type(b"\x01", b"d")
        terminal.end()
    assert docker_cli("inspect", "-f", "{{.State.Status}}", "again").stdout == "running\n"

    with _docker(engine, "attach", "again") as terminal:
        terminal.type(b"exit 3\r")
        assert terminal.end() == 3


@pytest.mark.needs_docker_cli
def test_an_exec_on_a_terminal_is_resized_and_gives_its_status(
    engine: EngineUnderTest, shell: str
) -> None:
    options = ["-it", "-e", "A=b", "-w", "/tmp", "-u", "1:2"]
    with _docker(engine, "exec", *options, shell, "sh", rows=31) as terminal:
        terminal.wait_for(b"$ ")
        terminal.type(b"echo $A $PWD $(id -u):$(id -g); stty size\r")
        terminal.wait_for(b"b /tmp 1:2\r\n31 80")
        terminal.resize(44, 99)
        time.sleep(0.5)
        terminal.type(b"stty size\r")
        terminal.wait_for(b"44 99")
        terminal.type(b"exit 9\r")
        assert terminal.end() == 9


@pytest.mark.needs_docker_cli
def test_a_detached_exec_goes_on(
    client: docker.DockerClient, engine: EngineUnderTest, shell: str
) -> None:
    with _docker(engine, "exec", "-it", shell, "sh", "-c", "read X; exit 5") as terminal:
        wait_until(lambda: client.api.inspect_container(shell)["ExecIDs"], "it runs")
        (exec_id,) = client.api.inspect_container(shell)["ExecIDs"]
        time.sleep(0.3)
        terminal.type(CTRL_P, CTRL_Q)
        terminal.end()
    assert client.api.exec_inspect(exec_id)["Running"]


def test_the_engine_itself_finds_the_default_keys_in_pieces(
    client: docker.DockerClient, engine: EngineUnderTest, shell: str
) -> None:
    with closing(_raw(engine, f"/containers/{shell}/attach?stream=1&stdin=1&stdout=1")) as raw:
        raw.sendall(b"echo a$((1+1))\r")
        _read_until(raw, b"a2")
        raw.sendall(CTRL_P)
        time.sleep(0.2)
        raw.sendall(CTRL_Q + b"echo never\r")
        assert b"never" not in _read_all(raw)

    assert client.containers.get(shell).status == "running"
    wait_until(lambda: "detach" in _actions(client, shell), "it is told")


def test_the_engine_itself_finds_keys_that_were_chosen(
    client: docker.DockerClient, engine: EngineUnderTest, shell: str
) -> None:
    path = f"/containers/{shell}/attach?stream=1&stdin=1&stdout=1&detachKeys=x,y"
    with closing(_raw(engine, path)) as raw:
        raw.sendall(b"echo a\x10\x11")  # The default keys are ordinary ones now.
        raw.sendall(b"x")
        raw.sendall(b"z\r")
        _read_until(raw, b"xz\r\n")
        raw.sendall(b"xy")
        _read_all(raw)
    assert client.containers.get(shell).status == "running"


def test_an_execs_keys_detach_and_its_status_is_known_later(
    client: docker.DockerClient, engine: EngineUnderTest, shell: str
) -> None:
    created = client.api.exec_create(
        shell, ["sh", "-c", "echo begun; sleep 1; exit 4"], tty=True, stdin=True, detach_keys="q"
    )
    body = json.dumps({"Tty": True}).encode()
    with closing(_raw(engine, f"/exec/{created['Id']}/start", body)) as raw:
        _read_until(raw, b"begun")
        raw.sendall(b"q")
        assert _read_all(raw).strip() == b""
    wait_until(lambda: not client.api.exec_inspect(created["Id"])["Running"], "it ends")
    assert client.api.exec_inspect(created["Id"])["ExitCode"] == 4
    assert "exec_detach" in _actions(client, shell)


def test_without_a_terminal_input_is_data(
    client: docker.DockerClient, engine: EngineUnderTest
) -> None:
    client.containers.run("busybox", ["cat"], name="cat", detach=True, stdin_open=True)
    with closing(_raw(engine, "/containers/cat/attach?stream=1&stdin=1&stdout=1")) as raw:
        raw.sendall(CTRL_P + CTRL_Q + b"\n")
        assert _read_until(raw, b"\n").endswith(CTRL_P + CTRL_Q + b"\n")


@pytest.mark.parametrize("keys", ["ctrl-1", "ab"])
def test_impossible_keys_are_refused(
    client: docker.DockerClient, engine: EngineUnderTest, shell: str, keys: str
) -> None:
    with pytest.raises(APIError, match="Invalid detach keys") as refused:
        client.api.exec_create(shell, ["true"], detach_keys=keys)
    assert refused.value.status_code == 400
    url = f"{client.api.base_url}/containers/{shell}/attach"
    answer: Any = client.api.post(url, params={"stream": "1", "detachKeys": keys})
    assert answer.status_code == 400
