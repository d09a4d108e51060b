import socket

import pytest

from tests.unit.daemon.conftest import Daemon, read_all

FRAME_HI = b"\x01\0\0\0\0\0\0\x03hi\n"


def attach(path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def head_and_rest(data: bytes) -> tuple[bytes, bytes]:
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def test_attach_with_upgrade_answers_101_and_frames_the_output(daemon: Daemon) -> None:
    daemon.create("echo", "hi")
    connection = daemon.raw(
        attach(
            "/v1.45/containers/c/attach?stream=1&stdout=1&stderr=1",
            "Connection: Upgrade",
            "Upgrade: tcp",
            "Content-Length: 0",
        )
    )
    with connection:
        begin = connection.recv(4096)
        daemon.json("POST", "/containers/c/start")
        head, rest = head_and_rest(begin + read_all(connection))
    assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
    assert b"Content-Type: application/vnd.docker.multiplexed-stream" in head
    assert b"Upgrade: tcp" in head
    assert rest == FRAME_HI


def test_attach_without_upgrade_answers_200_with_a_raw_stream(daemon: Daemon) -> None:
    daemon.create("echo", "hi", Tty=True)
    with daemon.raw(attach("/containers/c/attach?stream=1&stdout=1")) as connection:
        begin = connection.recv(4096)
        daemon.json("POST", "/containers/c/start")
        head, rest = head_and_rest(begin + read_all(connection))
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: application/vnd.docker.raw-stream" in head
    assert rest == b"hi\n"


def test_an_old_client_is_told_raw_stream_for_frames(daemon: Daemon) -> None:
    daemon.create("echo", "hi")
    with daemon.raw(attach("/v1.41/containers/c/attach?stream=1&stdout=1")) as connection:
        assert b"vnd.docker.raw-stream" in connection.recv(4096)
        daemon.json("POST", "/containers/c/start")
        assert read_all(connection) == FRAME_HI


def test_input_right_behind_the_request_is_not_lost(daemon: Daemon) -> None:
    daemon.create("cat", OpenStdin=True)
    request = attach("/containers/c/attach?stream=1&stdin=1&stdout=1", body=b"first ")
    with daemon.raw(request) as connection:
        begin = connection.recv(4096)
        daemon.json("POST", "/containers/c/start")
        connection.sendall(b"second")
        connection.shutdown(socket.SHUT_WR)
        _, rest = head_and_rest(begin + read_all(connection))
    payload = b""
    while rest:
        size = int.from_bytes(rest[4:8], "big")
        payload, rest = payload + rest[8 : 8 + size], rest[8 + size :]
    assert payload == b"first second"


@pytest.mark.parametrize("body", [b"", b"all at once"])
def test_input_that_ends_with_the_request_leaves_the_output_open(
    daemon: Daemon, body: bytes
) -> None:
    """Tornado alone takes the half-close for the end of the connection."""
    daemon.create("cat", OpenStdin=True)
    connection = daemon.raw(attach("/containers/c/attach?stream=1&stdin=1&stdout=1", body=body))
    with connection:
        connection.shutdown(socket.SHUT_WR)
        begin = connection.recv(4096)
        daemon.json("POST", "/containers/c/start")
        _, rest = head_and_rest(begin + read_all(connection))
    assert rest[8:] == body


def test_attach_to_nothing_answers_404_and_keeps_the_connection(daemon: Daemon) -> None:
    request = attach("/containers/nobody/attach?stream=1&stdout=1", "Content-Length: 0")
    with daemon.raw(request) as connection:
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 404")
        assert b"No such container: nobody" in answer
        connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_all(connection).endswith(b"OK")


def test_a_half_closed_client_of_nothing_leaves_no_descriptor(daemon: Daemon) -> None:
    with daemon.raw(attach("/containers/nobody/attach?stream=1&stdout=1")) as connection:
        connection.shutdown(socket.SHUT_WR)
        read_all(connection)  # returns: the daemon closed its side
    assert daemon.on_loop(lambda: daemon.activity.open_requests) == 0


def test_a_hijacked_connection_counts_no_longer_as_a_request(daemon: Daemon) -> None:
    daemon.create("sleep")
    with daemon.raw(attach("/containers/c/attach?stream=1&stdout=1")) as connection:
        connection.recv(4096)
        assert daemon.on_loop(lambda: daemon.activity.open_requests) == 0
