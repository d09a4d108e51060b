import socket
import time

import pytest
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from dockerlab.image.registry import connection
from dockerlab.image.registry.connection import Pools
from dockerlab.image.registry.transport import connected_at
from tests.support.httpserver import Reply, running_server


def test_an_answer_comes_with_its_body_unread_and_its_connection_is_used_again() -> None:
    with running_server(lambda _: Reply(body=b"body")) as server:
        pools, connected = Pools(), set()
        for _ in range(2):
            answer = pools.get(server.url + "/x", {"Accept": "a"})
            connected.add(connected_at(answer))
            assert answer.read() == b"body"
            answer.release_conn()
        assert len(connected) == 1
        assert server.asked[0].headers["Accept"] == "a"
        pools.close()


def test_a_redirect_is_an_answer_like_any_other() -> None:
    reply = Reply(status=302, headers={"Location": "http://elsewhere.example/"})
    with running_server(lambda _: reply) as server:
        pools = Pools()
        answer = pools.get(server.url, {})
        assert answer.status == 302
        answer.close()
        pools.close()


def test_a_port_where_nobody_listens_is_refused() -> None:
    with pytest.raises(NewConnectionError, match="connection refused"):
        Pools().get("http://127.0.0.1:1/", {})


def test_a_name_that_does_not_exist_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(host: str, port: int) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, f"{host}:{port}")

    monkeypatch.setattr(connection, "_addresses", unknown)
    with pytest.raises(NewConnectionError, match=r"the name registry\.invalid is not known"):
        Pools().get("http://registry.invalid/", {})


def test_a_name_server_that_does_not_answer_is_waited_for_in_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_addresses", lambda _host, _port: time.sleep(2))
    with pytest.raises(ConnectTimeoutError, match="no answer about the name"):
        Pools(connect_timeout_s=0.1).get("http://registry.invalid/", {})


def test_a_host_that_does_not_answer_is_waited_for_in_bounds() -> None:
    # A listening socket with a full queue drops what comes; so does a firewall.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.settimeout(0)
            client.connect_ex(full.getsockname())
        try:
            with pytest.raises(ConnectTimeoutError, match=r"no answer in 0\.2 s"):
                Pools(connect_timeout_s=0.2).get(f"http://127.0.0.1:{full.getsockname()[1]}/", {})
        finally:
            for client in waiting:
                client.close()


def test_a_first_address_that_fails_leaves_time_for_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running_server(lambda _: Reply(body=b"here")) as server:
        port = int(server.address.rpartition(":")[2])
        both = [
            (socket.AF_INET, ("127.0.0.1", 1)),
            (socket.AF_INET, ("127.0.0.1", port)),
        ]
        monkeypatch.setattr(connection, "_addresses", lambda _host, _port: both)
        pools = Pools()
        answer = pools.get("http://registry.invalid/", {})
        assert answer.read() == b"here"
        answer.release_conn()
        pools.close()
