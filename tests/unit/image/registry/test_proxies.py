import threading

import pytest

from dockerlab.errors import InvalidArgument, RegistryUnreachable
from dockerlab.image.registry.connection import Pools
from dockerlab.image.registry.proxies import Proxies, Proxy, proxies_of
from dockerlab.image.registry.transport import Transport
from tests.support.httpserver import Reply, running_server

PROXY = "http://proxy.example:3128"


def test_the_variables_are_read_in_both_spellings() -> None:
    found = proxies_of({"HTTP_PROXY": "a:1", "https_proxy": " b:2 ", "no_proxy": "x"})
    assert found == Proxies(http="a:1", https="b:2", exceptions="x")
    assert proxies_of({}) == Proxies()


@pytest.mark.parametrize(
    ("exceptions", "url", "is_proxied"),
    [
        ("", "https://registry.example/v2/", True),
        ("", "https://127.0.0.1:5000/", False),
        ("", "http://localhost/", False),
        ("*", "https://registry.example/", False),
        ("example", "https://registry.example/", False),
        ("registry.example", "https://registry.example/", False),
        ("registry.example", "https://my-registry.example/", True),
        (".registry.example", "https://registry.example/", True),
        ("a, *.example", "https://registry.example/", False),
        ("registry.example:5000", "https://registry.example/", True),
        ("registry.example:443", "https://registry.example/", False),
        ("10.0.0.0/8", "https://10.1.2.3/", False),
        ("10.0.0.0/8", "https://11.1.2.3/", True),
        ("fd00::1", "https://[fd00::1]/", False),
    ],
)
def test_who_is_asked_through_the_proxy(
    exceptions: str,
    url: str,
    is_proxied: bool,  # noqa: FBT001 - a table
) -> None:
    proxies = Proxies(http=PROXY, https=PROXY, exceptions=exceptions)
    assert (proxies.find(url) is not None) is is_proxied


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("proxy.example", Proxy(url="http://proxy.example:80")),
        ("https://proxy.example", Proxy(url="https://proxy.example:443")),
        ("http://a:p%40ss@[::1]:8", Proxy(url="http://[::1]:8", user="a:p@ss")),
    ],
)
def test_a_proxy_is_an_address_perhaps_with_a_user(text: str, proxy: Proxy) -> None:
    assert Proxies(https=text).find("https://registry.example/") == proxy


@pytest.mark.parametrize("text", ["socks5://x", "http://", "http://x:port"])
def test_what_is_no_proxy_is_said_where_it_matters(text: str) -> None:
    with pytest.raises(InvalidArgument, match="HTTPS_PROXY names"):
        Proxies(https=text).find("https://registry.example/")
    assert Proxies(https=text).find("http://registry.example/") is None


def test_passwords_are_not_shown() -> None:
    shown = Proxies(http="http://ada:secret@p:1", https="ada:secret@p", exceptions="x").shown()
    assert shown == ("http://xxxxx:xxxxx@p:1", "http://xxxxx:xxxxx@p", "x")


def test_a_request_goes_to_the_proxy_with_its_user() -> None:
    with running_server(lambda _: Reply(body=b"hello")) as server:
        proxies = Proxies(http=f"http://ada:secret@{server.address}")
        transport = Transport(Pools(proxies=proxies))
        answer = transport.get("http://registry.example/v2/", {}, stop=threading.Event())
        assert answer.data == b"hello"
        transport.close()
    [asked] = server.asked
    assert asked.path == "http://registry.example/v2/"
    assert asked.headers["proxy-authorization"] == "Basic YWRhOnNlY3JldA=="


def test_a_proxy_that_refuses_or_is_not_there_is_named_as_the_reason() -> None:
    with running_server(lambda _: Reply()) as server:
        for address in (server.address, "127.0.0.1:1"):
            transport = Transport(Pools(proxies=Proxies(https=address)))
            with pytest.raises(RegistryUnreachable, match="through the proxy"):
                transport.get("https://registry.example/v2/", {}, stop=threading.Event())
            transport.close()
