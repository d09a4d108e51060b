"""A token server for tests, as Docker Hub has one: it signs what a real registry then checks.

The flow is distribution's (token authentication specification): the registry answers 401 and
names the realm, the realm gives a JSON web token for one scope. Keys are made by the openssl
program.
"""

import base64
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.httpserver import Asked, Reply, ScriptedServer, running_server

__all__ = ["TokenServer", "running_token_server"]

_ISSUER, _SERVICE = "issuer of the tests", "registry of the tests"
_TOLD_LIFE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenServer:
    """A running token server; `auth` is the section for a registry that trusts it."""

    server: ScriptedServer
    auth: dict[str, Any]


@contextmanager
def running_token_server(
    folder: Path,
    *,
    public: frozenset[str],
    users: Mapping[str, str] | None = None,
    life_s: int = 300,
    gives_identity: bool = False,
) -> Iterator[TokenServer]:
    """Serve tokens until the block ends.

    Parameters
    ----------
    folder : Path
        Where key and certificate are made.
    public : frozenset of str
        Repositories that anybody may pull.
    users : mapping
        Passwords by user; a user may pull and push everything.
    life_s : int
        Seconds after which the registry refuses a token; the client is told that it lives longer.
    gives_identity : bool
        Who asks for one (``offline_token``) gets an identity token, which is good for ever.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subject = ["-subj", "/CN=tokens of the tests", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files],
        check=True,
        capture_output=True,
    )

    identities = {f"identity of {user}": user for user in users or {}}

    def respond(asked: Asked) -> Reply:
        query = parse_qs(asked.body.decode() or urlsplit(asked.path).query)
        if query.get("service") != [_SERVICE]:
            return Reply(status=400, body=b'{"details":"unknown service"}')
        if query.get("grant_type") == ["refresh_token"]:
            user = identities.get(query["refresh_token"][0])
        else:
            user = _user(asked.headers.get("Authorization", ""), users or {})
        if user is None:
            return Reply(status=401, body=b'{"details":"incorrect username or password"}')
        access = [
            grant for scope in query.get("scope", []) for grant in _grants(scope, user, public)
        ]
        token = _sign(_claims(user, access, life_s), key, certificate)
        answer = {"access_token": token, "token": token, "expires_in": _TOLD_LIFE_S}
        if user and gives_identity and query.get("offline_token") == ["true"]:
            answer["refresh_token"] = f"identity of {user}"
        return Reply(headers={"Content-Type": "application/json"}, body=json.dumps(answer).encode())

    with running_server(respond) as server:
        yield TokenServer(
            server=server,
            auth={
                "token": {
                    "realm": f"{server.url}/token",
                    "service": _SERVICE,
                    "issuer": _ISSUER,
                    "rootcertbundle": str(certificate),
                }
            },
        )


def _user(authorization: str, users: Mapping[str, str]) -> str | None:
    """Return the user, '' for nobody in particular, or None for a wrong password."""
    if not authorization:
        return ""
    name, _, password = base64.b64decode(authorization.rpartition(" ")[2]).decode().partition(":")
    return name if users.get(name) == password else None


def _grants(scope: str, user: str, public: frozenset[str]) -> list[dict[str, Any]]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    if kind != "repository" or (name not in public and not user):
        return []
    allowed = {"pull", "push"} if user else {"pull"}
    granted = [action for action in actions.split(",") if action in allowed]
    return [{"type": kind, "name": name, "actions": granted}]


def _claims(user: str, access: list[dict[str, Any]], life_s: int) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": _ISSUER,
        "aud": _SERVICE,
        "sub": user,
        "exp": now + life_s,
        "nbf": now - 10,
        "iat": now,
        "jti": str(time.monotonic_ns()),
        "access": access,
    }


def _sign(claims: dict[str, Any], key: Path, certificate: Path) -> str:
    """Return a JSON web token, RS256 (RFC 7518, 3.3), with its certificate in the header."""
    chain = "".join(certificate.read_text().splitlines()[1:-1])
    header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
    signed = b".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", str(key)],
        input=signed,
        capture_output=True,
        check=True,
    ).stdout
    return (signed + b"." + _encode(signature)).decode()


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
