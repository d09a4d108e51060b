import base64
import json

import pytest

from dockerlab.engine.registry import Credential
from tests.unit.daemon.conftest import Cli, Daemon

ADA = {"username": "ada", "password": "secret", "serveraddress": "lab:5000"}


def _header(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def test_a_login_that_the_registry_takes_succeeds(daemon: Daemon) -> None:
    assert daemon.json("POST", "/auth", ADA) == (
        200,
        {"Status": "Login Succeeded", "IdentityToken": ""},
    )


def test_an_identity_token_is_handed_to_the_client(daemon: Daemon) -> None:
    _, answer = daemon.json("POST", "/auth", ADA | {"serveraddress": "realm.example"})
    assert answer["IdentityToken"] == "identity"


def test_a_wrong_password_is_401(daemon: Daemon) -> None:
    status, answer = daemon.json("POST", "/auth", ADA | {"password": "wrong"})
    assert status == 401
    assert answer == {"message": 'cannot log in to "lab:5000": unauthorized'}


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"username": "ada", "password": "é"}, Credential(username="ada", password="é")),
        ({"Username": "ada", "Password": "x"}, Credential(username="ada", password="x")),
        ({"IdentityToken": "t", "email": None}, Credential(identity_token="t")),
        ({"registrytoken": "t"}, Credential(registry_token="t")),
        ({}, None),
        (None, None),
    ],
)
def test_credentials_of_a_pull_are_read_as_clients_write_them(
    daemon: Daemon, members: object, wanted: Credential | None
) -> None:
    for header in (_header(members), _header(members).rstrip("=")):
        daemon.request("POST", "/images/create?fromImage=x", None, {"X-Registry-Auth": header})
        assert daemon.engine.pulls.shown.pop() == wanted


@pytest.mark.parametrize("header", ["!", "secret", _header([1]), _header("secret")])
def test_a_damaged_header_is_refused_and_not_repeated(daemon: Daemon, header: str) -> None:
    status, _, data = daemon.request(
        "POST", "/images/create?fromImage=x", None, {"X-Registry-Auth": header}
    )
    assert (status, b"invalid X-Registry-Auth header" in data) == (400, True)
    assert b"secret" not in data
    assert not daemon.engine.pulls.shown


def test_a_credential_does_not_print_its_secrets() -> None:
    shown = repr(Credential(username="ada", password="p", identity_token="i", registry_token="r"))
    assert shown == "Credential(username='ada', …)"


def test_what_registries_said_of_limits_is_told(daemon: Daemon) -> None:
    assert daemon.json("GET", "/dockerlab/ratelimits") == (
        200,
        [
            {
                "registry": "docker.io",
                "limit": 100,
                "remaining": 76,
                "window_s": 21600,
                "source": "192.0.2.1",
                "seen_at": "2026-01-31T12:00:00.120000Z",
            }
        ],
    )


def test_the_docker_client_logs_in_and_out(daemon: Daemon, cli: Cli) -> None:
    """Needs no registry: what is tested is how the client and these routes speak."""
    done = cli("login", "-u", "ada", "--password-stdin", "lab:5000", input="secret")
    assert "Login Succeeded" in done.stdout
    cli("pull", "lab:5000/x")
    assert daemon.engine.pulls.shown == [Credential(username="ada", password="secret")]
    refused = cli("login", "-u", "ada", "--password-stdin", "other:5000", input="wrong")
    assert refused.returncode == 1
    assert 'cannot log in to "other:5000": unauthorized' in refused.stderr
