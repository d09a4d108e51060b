import socket

import pytest

from dockerlab import __version__, errors
from dockerlab.daemon.handler import message_of, status_of
from tests.unit.daemon.conftest import Daemon, read_all


def all_kinds(kind: type[errors.DockerlabError]) -> list[type[errors.DockerlabError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in all_kinds(child))]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BadReference("x"), 400),
        (errors.Unauthorized("x"), 401),
        (errors.Forbidden("x"), 403),
        (errors.ImageNotFound("x"), 404),
        (errors.ManifestNotFound("x"), 404),
        (errors.Conflict("x"), 409),
        (errors.NotModified("x"), 304),
        (errors.Unsupported("x"), 501),
        (errors.RegistryUnreachable("x"), 503),
        (errors.EngineFailure("x"), 500),
        (errors.StartFailure("x"), 500),
        (errors.CommandNotFound("x"), 400),
        (errors.CommandNotExecutable("x"), 400),
        (ValueError("x"), 500),
    ],
)
def test_the_kind_of_an_error_decides_the_status(error: Exception, status: int) -> None:
    assert status_of(error) == status


def test_every_kind_but_the_engines_own_failure_has_a_status() -> None:
    for kind in all_kinds(errors.DockerlabError):
        error = kind("x")
        is_own = isinstance(error, errors.EngineFailure) or kind is errors.DockerlabError
        assert is_own or status_of(error) < 500 or status_of(error) in (501, 503), kind


def test_messages_hold_the_phrases_that_the_docker_client_reads() -> None:
    assert "executable file not found" in message_of(errors.CommandNotFound('"x"'))
    assert "permission denied" in message_of(errors.CommandNotExecutable('"x"'))
    kept = "exec /x: no such file or directory"
    assert message_of(errors.CommandNotFound(kept)) == kept


def test_a_hint_becomes_part_of_the_sentence() -> None:
    assert message_of(errors.Unsupported("no", hint="do it so")) == "no; do it so"


def test_an_unforeseen_error_tells_its_name_and_no_traceback() -> None:
    text = message_of(ValueError("odd"))
    assert "ValueError: odd" in text
    assert "\n" not in text


def test_every_answer_says_which_engine_and_api_it_is(daemon: Daemon) -> None:
    for path in ("/_ping", "/nowhere"):
        _, headers, _ = daemon.request("GET", path)
        assert headers["Server"] == f"dockerlab/{__version__} (linux)"
        assert headers["Api-Version"] == "1.45"
        assert headers["Docker-Experimental"] == "false"
        assert headers["Ostype"] == "linux"


@pytest.mark.parametrize("version", ["1.24", "1.40", "1.41", "1.42", "1.43", "1.44", "1.45"])
def test_versions_in_range_are_served(daemon: Daemon, version: str) -> None:
    status, answer = daemon.json("GET", f"/v{version}/version")
    assert (status, answer["ApiVersion"]) == (200, "1.45")


def test_a_version_that_is_too_new_is_refused_in_dockers_words(daemon: Daemon) -> None:
    assert daemon.json("GET", "/v1.99/_ping") == (
        400,
        {"message": "client version 1.99 is too new. Maximum supported API version is 1.45"},
    )


def test_a_version_that_is_too_old_is_refused(daemon: Daemon) -> None:
    status, answer = daemon.json("GET", "/v1.23/version")
    assert status == 400
    assert answer["message"].startswith("client version 1.23 is too old. Minimum supported API")


@pytest.mark.parametrize("version", ["1", "1.2.3", "1.", "99999999.1"])
def test_a_malformed_version_is_refused(daemon: Daemon, version: str) -> None:
    status, answer = daemon.json("GET", f"/v{version}/version")
    assert (status, answer["message"]) == (400, f'invalid API version "{version}"')


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nowhere"), ("POST", "/v1.45/nowhere"), ("DELETE", "/version"), ("PUT", "/info")],
)
def test_wrong_paths_and_methods_are_pages_not_found(
    daemon: Daemon, method: str, path: str
) -> None:
    assert daemon.json(method, path) == (404, {"message": "page not found"})


def test_not_modified_has_no_body(daemon: Daemon) -> None:
    daemon.create("sleep")
    assert daemon.request("POST", "/containers/c/stop")[::2] == (304, b"")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"x"', b"\xff\xfe", b'{"Image": 7}', b'{"Image": "a", "Cmd": [1]}'],
)
def test_a_body_that_is_not_what_it_should_be_is_refused(daemon: Daemon, body: bytes) -> None:
    status, answer = daemon.json("POST", "/containers/create", body)
    assert status == 400
    assert answer["message"].startswith("invalid JSON in the request's body")


@pytest.mark.parametrize("key", ["HostConfig", "Nothing", "Cmd"])
def test_deep_json_does_not_kill_the_daemon(daemon: Daemon, key: str) -> None:
    depth = 200_000
    body = f'{{"Image": "hello", "{key}": '.encode() + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    assert daemon.json("POST", "/containers/create", body)[0] == 400
    assert daemon.request("GET", "/_ping")[0] == 200


def test_a_body_of_more_than_4_mib_is_refused_before_it_is_read(daemon: Daemon) -> None:
    head = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 4194305\r\n\r\n"
    with daemon.raw(head) as connection:
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")
    assert daemon.request("GET", "/_ping")[0] == 200


def test_requests_are_counted_while_they_are_open(daemon: Daemon) -> None:
    daemon.create("sleep")
    with daemon.raw(
        b"POST /containers/c/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n"
    ) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        assert daemon.on_loop(lambda: daemon.activity.open_requests) == 1
    daemon.wait_until(daemon.activity.is_idle)


def test_a_client_that_vanishes_in_a_request_is_forgotten(daemon: Daemon) -> None:
    with daemon.raw(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        connection.recv(4096)
        connection.shutdown(socket.SHUT_RDWR)
    daemon.wait_until(daemon.engine.events.is_left)
    daemon.wait_until(daemon.activity.is_idle)
