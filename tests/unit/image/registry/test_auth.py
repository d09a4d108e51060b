import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from dockerlab.errors import Forbidden, Unauthorized
from dockerlab.image.registry.auth import Access, Challenge, parse_challenges
from dockerlab.image.registry.credential import Credential, no_credentials
from dockerlab.image.registry.mirrors import Endpoint, RegistrySettings
from dockerlab.image.registry.session import Session
from dockerlab.image.registry.transport import Transport
from dockerlab.oci.reference import parse_reference
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


ADA = Credential(username="ada", password="secret")


@pytest.mark.parametrize(
    ("registry", "realm", "verifies"),
    [
        ("http://registry.lab", "https://auth.lab/token", True),
        ("https://registry.lab", "https://auth.lab/token", False),
    ],
)
def test_a_registry_that_was_not_verified_cannot_name_who_gets_its_credentials(
    registry: str, realm: str, *, verifies: bool
) -> None:
    endpoint = Endpoint(url=registry, registry="registry.lab", verifies=verifies)
    for credential in (ADA, Credential(identity_token="identity")):
        access = Access(Transport(), {"registry.lab": credential}.get)
        with pytest.raises(Forbidden, match=r'sent to "auth\.lab", and is not verified by TLS'):
            access.answer(endpoint, "a", f'Bearer realm="{realm}"', threading.Event())


def test_a_mirror_is_shown_nothing_even_under_the_registry_s_name() -> None:
    mirror = Endpoint(url="http://docker.io", registry="docker.io", is_mirror=True)
    access = Access(Transport(), {"docker.io": ADA}.get)
    with pytest.raises(Unauthorized, match="no basic auth credentials"):
        access.answer(mirror, "a", "Basic", threading.Event())


def test_an_identity_token_is_posted_and_follows_no_redirect() -> None:
    def elsewhere(asked: Asked) -> Reply:
        return Reply(body=b'{"access_token":"stolen"}')

    with running_server(elsewhere) as other:

        def respond(asked: Asked) -> Reply:
            if asked.path == "/moved":
                return Reply(status=307, headers={"Location": f"{other.url}/token"})
            return Reply(body=b'{"access_token":"fresh"}')

        with running_server(respond) as server:
            endpoint, transport = _endpoint(server.url), Transport()
            known = Credential(identity_token="identity", username="ada", password="secret")
            access = Access(transport, {endpoint.registry: known}.get)
            good = f'Bearer realm="{server.url}/token",service="s"'
            assert access.answer(endpoint, "a", good, threading.Event()) == {
                "Authorization": "Bearer fresh"
            }
            asked = server.asked[-1]
            assert (asked.method, "Authorization" in asked.headers) == ("POST", False)
            assert parse_qs(asked.body.decode()) == {
                "grant_type": ["refresh_token"],
                "refresh_token": ["identity"],
                "service": ["s"],
                "client_id": ["dockerlab"],
                "scope": ["repository:a:pull"],
            }
            with pytest.raises(Unauthorized, match="no access"):
                access.answer(
                    endpoint, "a", f'Bearer realm="{server.url}/moved"', threading.Event()
                )
            transport.close()
        assert other.asked == []


def test_a_registry_token_is_shown_as_it_is() -> None:
    access = Access(Transport(), lambda _: Credential(registry_token="given"))
    header = access.answer(
        _endpoint("https://lab"), "a", 'Bearer realm="https://auth/t"', threading.Event()
    )
    assert header == {"Authorization": "Bearer given"}


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_credentials_do_not_follow_a_redirect_to_another_server(scheme: str) -> None:
    """A manifest that lies elsewhere is fetched from there without what opened the registry."""
    manifest = b'{"schemaVersion":2}'
    with running_server(lambda _: Reply(body=manifest)) as other:

        def respond(asked: Asked) -> Reply:
            if asked.path.startswith("/token"):
                return Reply(body=b'{"token":"fresh"}')
            if "Authorization" not in asked.headers:
                wants = f'Bearer realm="{server.url}/token"' if scheme == "bearer" else "Basic"
                return Reply(status=401, headers={"WWW-Authenticate": wants})
            return Reply(status=307, headers={"Location": f"{other.url}/stored"})

        with running_server(respond) as server:
            session = Session(RegistrySettings(), credentials={server.address: ADA}.get)
            reference = parse_reference(f"{server.address}/private/app")
            found = session.repository(reference, threading.Event()).manifest("latest")
            session.close()
        assert found.data == manifest
        assert server.asked[-1].headers["Authorization"].lower().startswith(scheme)
        assert [asked.path for asked in other.asked] == ["/stored"]
        assert "Authorization" not in other.asked[0].headers
