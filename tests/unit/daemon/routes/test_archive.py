import asyncio
import base64
import json
import time

from tests.unit.daemon.conftest import Daemon

_LARGE = 20 << 20


def test_the_facts_of_a_path_stand_in_a_header(daemon: Daemon) -> None:
    daemon.create("sleep")
    for method, body in (("HEAD", b""), ("GET", b"first second")):
        status, headers, data = daemon.request(method, "/containers/c/archive?path=/file")
        assert (status, data) == (200, body)
        assert json.loads(base64.b64decode(headers["X-Docker-Container-Path-Stat"])) == {
            "name": "file",
            "size": 4,
            "mode": 1 << 23 | 0o755,
            "mtime": "1970-01-01T00:00:01Z",
            "linkTarget": "",
        }
    assert headers["Content-Type"] == "application/x-tar"


def test_what_is_missing_is_said_with_its_status(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.request("HEAD", "/containers/c/archive?path=/none")[0] == 404
    assert daemon.request("GET", "/containers/none/archive?path=/file")[0] == 404
    assert daemon.request("GET", "/containers/c/archive")[0] == 400
    assert daemon.request("PUT", "/containers/c/archive?path=/none", b"x" * _LARGE)[0] == 404


def test_a_body_above_the_limit_of_others_is_streamed(daemon: Daemon) -> None:
    daemon.create("sleep")
    status, _, _ = daemon.request("PUT", "/containers/c/archive?path=/folder", b"x" * _LARGE)
    archives = daemon.engine.archives
    assert status == 200
    assert (archives.received_bytes, archives.finished, archives.left) == (_LARGE, 1, 1)
    assert archives.largest_bytes <= 1 << 20


def test_a_client_that_leaves_ends_its_upload(daemon: Daemon) -> None:
    daemon.create("sleep")
    head = (
        b"PUT /containers/c/archive?path=/folder HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
    )
    with daemon.raw(head + b"few"):
        time.sleep(0.2)
    deadline = time.monotonic() + 10
    while not daemon.engine.archives.left and time.monotonic() < deadline:
        daemon.on_loop(asyncio.get_running_loop)
        time.sleep(0.01)
    assert (daemon.engine.archives.left, daemon.engine.archives.finished) == (1, 0)


def test_changes_and_export(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.json("GET", "/containers/c/changes") == (200, [{"Path": "/new", "Kind": 1}])
    assert daemon.request("GET", "/containers/c/export")[2] == b"first second"
