import json

from tests.unit.daemon.conftest import Daemon


def test_recorded_events_are_lines_of_json(daemon: Daemon) -> None:
    container_id = daemon.create("sleep")
    _, headers, data = daemon.request("GET", "/events?since=1&until=2")
    assert headers["Content-Type"] == "application/json"
    event = json.loads(data)
    assert (event["Type"], event["Action"]) == ("container", "create")
    assert event["Actor"] == {
        "ID": container_id,
        "Attributes": {"name": "c", "image": "busybox"},
    }
    assert (event["status"], event["id"], event["from"]) == ("create", container_id, "busybox")
    assert event["timeNano"] // 10**9 == event["time"]


def test_the_head_comes_before_the_first_event(daemon: Daemon) -> None:
    with daemon.raw(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        daemon.create("sleep")
        assert b'"create"' in connection.recv(4096)


def test_a_moment_that_is_none_is_refused(daemon: Daemon) -> None:
    assert daemon.json("GET", "/events?since=yesterday")[0] == 400
