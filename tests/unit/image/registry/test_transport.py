import threading

import pytest

from dockerlab.errors import Cancelled, RegistryUnreachable, Unavailable
from dockerlab.image.registry.transport import (
    Broken,
    Transport,
    connected_at,
    describe_errors,
    pause,
    read_limited,
)
from tests.support.httpserver import Asked, Reply, running_server

_STOP = threading.Event()


def _describe(reply: Reply) -> str:
    with running_server(lambda _: reply) as server:
        transport = Transport()
        text = describe_errors(transport.get(server.url + "/", {}, stop=_STOP))
        transport.close()
        return text


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (
            b'{"errors":[{"code":"NAME_UNKNOWN","message":"no such name","detail":{}}]}',
            "application/json",
            "name unknown: no such name",
        ),
        (b'{"details":"incorrect username"}', "application/json", "incorrect username"),
        (b"{}", "application/json", "received unexpected HTTP status: 404 Not Found"),
        (b"<html>no</html>", "text/html", "received unexpected HTTP status: 404 Not Found"),
        (b"go away\r\n", "text/plain", "received unexpected HTTP status: 404 Not Found (go away)"),
        (b"[" * 60_000, "application/json", "received unexpected HTTP status: 404 Not Found"),
        (b"x" * 100_000, "text/plain", "received unexpected HTTP status: 404 Not Found"),
        (
            b'{"errors":[{"code":"A","message":"two\\nlines\\u001b[31m"}]}',
            "application/json",
            "a: two lines [31m",
        ),
    ],
)
def test_an_error_is_one_line(body: bytes, content_type: str, text: str) -> None:
    assert _describe(Reply(status=404, headers={"Content-Type": content_type}, body=body)) == text


def test_a_body_is_read_up_to_its_limit() -> None:
    with running_server(lambda _: Reply(body=b"12345")) as server:
        transport = Transport()
        assert read_limited(transport.get(server.url, {}, stop=_STOP), 5, "it") == b"12345"
        with pytest.raises(Unavailable, match="it is larger than 4 bytes"):
            read_limited(transport.get(server.url, {}, stop=_STOP), 4, "it")
        transport.close()


def test_a_body_that_breaks_off_is_known() -> None:
    with running_server(lambda _: Reply(body=b"12345", cut_at=2)) as server:
        transport = Transport()
        with pytest.raises(Broken):
            read_limited(transport.get(server.url, {}, stop=_STOP), 5, "it")


def test_a_busy_server_is_asked_a_bounded_number_of_times() -> None:
    with running_server(lambda _: Reply(status=503)) as server:
        with pytest.raises(Unavailable, match="does not answer properly"):
            Transport().get(server.url, {}, stop=_STOP, attempts=2)
        assert len(server.asked) == 2


def test_waiting_ends_when_it_is_told_to() -> None:
    stop = threading.Event()
    stop.set()
    with running_server(lambda _: Reply(status=503)) as server, pytest.raises(Cancelled):
        Transport().get(server.url, {}, stop=stop)


def test_a_date_says_how_long_to_wait() -> None:
    later = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}
    with running_server(lambda _: Reply(status=429, headers=later)) as server:
        transport = Transport(wall_clock=lambda: 1_792_567_680.0 - 900)
        with pytest.raises(Unavailable) as caught:
            transport.get(server.url, {}, stop=_STOP)
        assert caught.value.hint == "try again in 900 s"
        assert len(server.asked) == 1


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", ""])
def test_a_retry_after_that_says_nothing_is_passed_over(text: str) -> None:
    replies = [Reply(status=503, headers={"Retry-After": text}), Reply(body=b"ok")]
    with running_server(lambda _: replies.pop(0)) as server:
        transport = Transport()
        assert read_limited(transport.get(server.url, {}, stop=_STOP), 10, "it") == b"ok"
        transport.close()


def test_the_token_goes_to_one_host_and_port_and_the_rest_goes_along() -> None:
    with running_server(lambda _: Reply(body=b"ok")) as other:
        moved = Reply(status=307, headers={"Location": f"{other.url}/blob?sig=1"})
        with running_server(lambda _: moved) as server:
            transport = Transport()
            sent = {"Authorization": "Bearer x", "Range": "bytes=5-"}
            read_limited(transport.get(server.url, sent, stop=_STOP), 10, "it")
            transport.close()
            assert server.asked[0].headers["Authorization"] == "Bearer x"
    assert "Authorization" not in other.asked[0].headers
    assert other.asked[0].headers["Range"] == "bytes=5-"
    assert other.asked[0].path == "/blob?sig=1"


def test_nobody_there_is_unreachable_at_once() -> None:
    with pytest.raises(RegistryUnreachable, match="connection refused"):
        Transport().get("http://127.0.0.1:1/", {}, stop=_STOP)


def test_the_time_of_the_connection_is_known() -> None:
    with running_server(lambda _: Reply()) as server:
        transport = Transport()
        answer = transport.get(server.url, {}, stop=_STOP)
        assert connected_at(answer) > 0
        answer.close()


def test_a_read_that_waits_can_be_broken_off() -> None:
    hold = threading.Event()
    with running_server(lambda _: Reply(body=b"12345", cut_at=2, hold=hold)) as server:
        transport = Transport()
        answer = transport.get(server.url, {}, stop=_STOP)
        transport.follow_up(answer)
        timer = threading.Timer(0.1, transport.abort)
        timer.start()
        with pytest.raises(Broken):
            read_limited(answer, 5, "it")
        timer.join()
        transport.finish(answer, reusable=False)
        transport.abort()
        hold.set()


def test_requests_say_who_asks_and_want_no_other_encoding() -> None:
    def respond(asked: Asked) -> Reply:
        return Reply(
            body=f"{asked.headers['User-Agent']} {asked.headers['Accept-Encoding']}".encode()
        )

    with running_server(respond) as server:
        transport = Transport()
        answer = transport.get(server.url, {}, stop=_STOP)
        assert read_limited(answer, 100, "it") == b"dockerlab identity"
        transport.close()


def test_pauses_grow() -> None:
    assert pause(1) < pause(3) < pause(5) < 5
