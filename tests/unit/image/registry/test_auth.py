import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from dockerlab.errors import Forbidden, Unauthorized
from dockerlab.image.registry.auth import Access, Challenge, parse_challenges
from dockerlab.image.registry.credential import Credential, no_credentials
from dockerlab.image.registry.mirrors import Endpoint
from dockerlab.image.registry.transport import Transport
from tests.support.httpserver import Asked, Reply, running_server


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="hub",scope="repository:x:pull,push"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "hub",
                        "scope": "repository:x:pull,push",
                    },
                )
            ],
        ),
        ('Basic realm="a \\"b\\""', [Challenge("basic", {"realm": 'a "b"'})]),
        ("Basic", [Challenge("basic", {})]),
        (
            "Negotiate, Bearer realm=x , service = y",
            [Challenge("negotiate", {}), Challenge("bearer", {"realm": "x", "service": "y"})],
        ),
        ('BEARER Realm="x"', [Challenge("bearer", {"realm": "x"})]),
        ("", []),
        ('realm="x"', []),
        ('Bearer realm="unfinished', [Challenge("bearer", {})]),
        ("Bearer realm=first,realm=second", [Challenge("bearer", {"realm": "first"})]),
    ],
)
def test_challenges_are_read_as_the_grammar_says(header: str, challenges: list[Challenge]) -> None:
    found = parse_challenges(header)
    assert found[: len(challenges)] == challenges


def test_a_long_challenge_takes_no_time() -> None:
    assert len(parse_challenges("Bearer " + "a=b," * 20_000)) == 1
    parse_challenges("Bearer " + "a" * 100_000)
    parse_challenges('Bearer a="' + "\\" * 100_000)


def _endpoint(url: str) -> Endpoint:
    return Endpoint(url=url, registry=urlsplit(url).netloc)


def test_a_token_is_for_one_repository_and_its_time() -> None:
    stop, now = threading.Event(), [0.0]

    def respond(asked: Asked) -> Reply:
        scope = parse_qs(urlsplit(asked.path).query)["scope"][0]
        return Reply(body=b'{"token":"%s","expires_in":100}' % scope.encode())

    with running_server(respond) as server:
        transport = Transport()
        access = Access(transport, no_credentials, lambda: now[0])
        endpoint = _endpoint(server.url)
        challenge = f'Bearer realm="{server.url}/token?x=1",scope="repository:everything:*"'
        assert access.header(endpoint, "a") == {}
        header = access.answer(endpoint, "a", challenge, stop)
        assert header == {"Authorization": "Bearer repository:a:pull"}
        assert access.header(endpoint, "a") == header
        assert access.header(endpoint, "b") == {}
        now[0] = 96.0
        assert access.header(endpoint, "a") == {}
        assert server.paths() == ["/token?x=1&scope=repository%3Aa%3Apull"]
        transport.close()


def test_basic_needs_credentials_and_they_are_for_one_registry() -> None:
    known = {"lab:5000": Credential(username="ada", password="pass:word")}
    access = Access(Transport(), known.get)
    stop = threading.Event()
    header = access.answer(_endpoint("https://lab:5000"), "a", 'Basic realm="x"', stop)
    assert header == {"Authorization": "Basic YWRhOnBhc3M6d29yZA=="}
    with pytest.raises(Unauthorized, match="wants a user and a password"):
        access.answer(_endpoint("https://other:5000"), "a", 'Basic realm="x"', stop)


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Bearer service=x", "Digest realm=x"])
def test_what_we_cannot_answer_is_unauthorized(challenge: str) -> None:
    access = Access(Transport())
    with pytest.raises(Unauthorized):
        access.answer(_endpoint("https://lab"), "a", challenge, threading.Event())


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("https://registry.example", "http://auth.example/token"),
        ("https://registry.example", "http://registry.example/token"),
        ("https://registry.example", "http://127.0.0.1/token"),
        ("https://registry.example", "https://localhost/token"),
        ("http://registry.lab", "http://other.lab/token"),
        ("http://registry.lab", "http://127.0.0.1/token"),
        ("http://127.0.0.1:5000", "http://169.254.169.254/token"),
        ("https://registry.example", "file:///etc/passwd"),
        ("https://registry.example", "//auth.example/token"),
        ("https://registry.example", "https://user@auth.example/token"),
        ("https://registry.example", "https:///token"),
    ],
)
def test_a_realm_where_a_registry_has_no_business_is_refused(registry: str, realm: str) -> None:
    access = Access(Transport())
    with pytest.raises(Forbidden, match="for a token: refused"):
        access.answer(_endpoint(registry), "a", f'Bearer realm="{realm}"', threading.Event())
