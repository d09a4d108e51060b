"""Access to registries: from a 401's challenge to the header of the next request.

The bearer flow is distribution's (https://distribution.github.io/distribution/spec/auth/token/):
the registry names a realm, the realm gives a token for one repository. Without credentials the
token is an anonymous one, which is what Docker Hub wants even for public images. Credentials,
where there are any, go to the realm or the registry that they are for and nowhere else.
"""

import base64
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec

from dockerlab.errors import Forbidden, Unauthorized, Unavailable
from dockerlab.image.registry.credential import Credential, Credentials, no_credentials
from dockerlab.image.registry.mirrors import Endpoint, is_loopback
from dockerlab.image.registry.transport import (
    Answer,
    Broken,
    Transport,
    describe_errors,
    read_limited,
)

__all__ = ["Access", "Challenge", "parse_challenges", "pull_scopes"]

_MAX_TOKEN_BYTES = 256 << 10
_OK = 200
# The specification's default when the answer does not say.
_DEFAULT_LIFE_S = 60.0
# A token that ends while a request is on its way is of no use.
_MARGIN_S = 5.0
_CLIENT_ID = "dockerlab"

# RFC 9110, 11.6.1: schemes and their parameters, all separated by commas.
_PART = re.compile(
    r"""\s*,?\s*(?:
        (?P<key>[A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))
        |(?P<scheme>[A-Za-z0-9!#$%&'*+.^_`|~-]+)(?=\s|,|$)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme of a ``WWW-Authenticate`` header, in lower case, with its parameters."""

    scheme: str
    parameters: dict[str, str]


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""
    refresh_token: str = ""
    expires_in: float = _DEFAULT_LIFE_S


def parse_challenges(header: str) -> list[Challenge]:
    """Read a ``WWW-Authenticate`` header; what is outside the grammar ends it.

    Examples
    --------
    >>> parse_challenges('Bearer realm="https://a/token",service="s"')[0].parameters["service"]
    's'
    """
    challenges: list[Challenge] = []
    at = 0
    while match := _PART.match(header, at):
        at = match.end()
        if scheme := match["scheme"]:
            challenges.append(Challenge(scheme.lower(), {}))
        elif challenges:
            quoted = match["quoted"]
            value = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            challenges[-1].parameters.setdefault(match["key"].lower(), value)
    return challenges


def pull_scopes(repository: str) -> Sequence[str]:
    """Return what a pull of a repository needs a token for."""
    return (f"repository:{repository}:pull",)


class Access:
    """Gives the ``Authorization`` for an endpoint and a repository; keeps tokens while they live.

    Threads may share it.
    """

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials = no_credentials,
        clock: Callable[[], float] = time.monotonic,
        scopes: Callable[[str], Sequence[str]] = pull_scopes,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._scopes = scopes
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[str, float]] = {}

    def header(self, endpoint: Endpoint, repository: str) -> dict[str, str]:
        """Return the header that worked last, or none."""
        with self._lock:
            value, end = self._known.get((endpoint.url, repository), ("", 0.0))
        return {"Authorization": value} if value and self._clock() < end else {}

    def answer(
        self, endpoint: Endpoint, repository: str, challenge: str, stop: threading.Event
    ) -> dict[str, str]:
        """Meet a challenge.

        Parameters
        ----------
        endpoint : Endpoint
            Who sent it.
        repository : str
            What it is about; the scope is made of it and not taken from the challenge.
        challenge : str
            The header ``WWW-Authenticate``.
        stop : Event
            Ends waiting.

        Returns
        -------
        dict
            The header for the next request.

        Raises
        ------
        Unauthorized
            The registry wants credentials, or refuses those that there are.
        Forbidden
            The realm is at an address where nothing, or no credentials may be sent.
        """
        with self._lock:
            self._known.pop((endpoint.url, repository), None)
        offered = _choose(challenge, endpoint, self._credential(endpoint))
        if offered.scheme == "bearer":
            scope = {"scope": " ".join(self._scopes(repository))}
            token = self._fetch_token(endpoint, offered, scope, stop)
            value, life_s = _bearer(token), max(token.expires_in, _DEFAULT_LIFE_S)
        else:
            value, life_s = self._own_word(endpoint, offered), float("inf")
        with self._lock:
            self._known[endpoint.url, repository] = (value, self._clock() + life_s - _MARGIN_S)
        return {"Authorization": value}

    def log_in(
        self, endpoint: Endpoint, challenge: str, stop: threading.Event
    ) -> tuple[dict[str, str], str]:
        """Meet the challenge of the registry's root, for no repository.

        Returns
        -------
        dict
            The header for the request that shows whether the credentials are good.
        str
            An identity token to keep in place of the password; '' when the realm gives none.

        Raises
        ------
        Unauthorized, Forbidden
            As `answer`.
        """
        credential = self._credential(endpoint)
        if credential is None:
            raise Unauthorized(f'"{endpoint.registry}" wants a user and a password')
        offered = _choose(challenge, endpoint, credential)
        if offered.scheme != "bearer":
            return {"Authorization": self._own_word(endpoint, offered)}, ""
        wish = {"offline_token": "true", "client_id": _CLIENT_ID}
        token = self._fetch_token(endpoint, offered, wish, stop)
        return {"Authorization": _bearer(token)}, token.refresh_token

    def _credential(self, endpoint: Endpoint) -> Credential | None:
        """Return what this endpoint may be shown; a mirror is somebody else."""
        return None if endpoint.is_mirror else (self._credentials(endpoint.registry) or None)

    def _own_word(self, endpoint: Endpoint, offered: Challenge) -> str:
        """Return what the registry itself is shown: its own token, or user and password."""
        known = self._credential(endpoint)
        if known is None:
            raise _wants_credentials(endpoint)
        return _basic(known) if offered.scheme == "basic" else f"Bearer {known.registry_token}"

    def _fetch_token(
        self,
        endpoint: Endpoint,
        challenge: Challenge,
        wish: dict[str, str],
        stop: threading.Event,
    ) -> _Token:
        """Ask the realm for a token."""
        realm = challenge.parameters["realm"]
        _check_realm(realm, endpoint)
        known = self._credential(endpoint)
        if known is not None:
            _check_confidant(realm, endpoint)
        query = dict(wish)
        if service := challenge.parameters.get("service"):
            query["service"] = service
        verifies = endpoint.verifies or not _is_same_place(realm, endpoint)
        if known is not None and known.identity_token:
            # RFC 6749, 6; distribution, "OAuth2 token authentication".
            form = query | {
                "grant_type": "refresh_token",
                "refresh_token": known.identity_token,
                "client_id": _CLIENT_ID,
            }
            answer = self._transport.post_form(realm, form, verifies=verifies, stop=stop)
        else:
            headers = {"Authorization": _basic(known)} if known else {}
            query |= {"account": known.username} if known else {}
            # A list of scopes goes as several parameters (distribution, "Requesting a Token").
            listed = [(k, v) for k, words in query.items() for v in _values(k, words)]
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(listed)}"
            answer = self._transport.get(url, headers, verifies=verifies, stop=stop)
        if answer.status != _OK:
            raise Unauthorized(
                f'no access to "{endpoint.registry}": unauthorized: {describe_errors(answer)}',
                "log in to the registry again" if known else "log in to the registry first",
            )
        return _read_token(answer, urlsplit(realm).netloc)


def _values(name: str, value: str) -> list[str]:
    return value.split(" ") if name == "scope" else [value]


def _choose(challenge: str, endpoint: Endpoint, credential: Credential | None) -> Challenge:
    """Return the challenge to meet: the first that we can."""
    for offered in parse_challenges(challenge):
        if offered.scheme == "bearer" and credential is not None and credential.registry_token:
            return Challenge("registry token", {})
        if offered.scheme == "bearer" and "realm" in offered.parameters:
            return offered
        if offered.scheme == "basic" and credential is not None and credential.username:
            return offered
    raise _wants_credentials(endpoint)


def _wants_credentials(endpoint: Endpoint) -> Unauthorized:
    return Unauthorized(
        f'"{endpoint.registry}" wants a user and a password: no basic auth credentials',
        "log in to the registry first",
    )


def _read_token(answer: Answer, host: str) -> _Token:
    try:
        data = read_limited(answer, _MAX_TOKEN_BYTES, "the token")
        token = msgspec.json.decode(data, type=_Token)
    except (msgspec.MsgspecError, RecursionError, Broken) as exc:
        raise Unavailable(f'"{host}" gives no token: {exc}') from exc
    text = token.token or token.access_token
    if not text or not text.isascii() or not text.isprintable():
        raise Unavailable(f'"{host}" gives no token')
    return token


def _bearer(token: _Token) -> str:
    return f"Bearer {token.token or token.access_token}"


def _basic(credential: Credential) -> str:
    """Return the value of RFC 7617."""
    words = f"{credential.username}:{credential.password}"
    return "Basic " + base64.b64encode(words.encode()).decode("ascii")


def _check_realm(realm: str, endpoint: Endpoint) -> None:
    """Refuse realms that a registry has no business to send us to.

    With TLS anywhere; without it only from a registry without TLS to its own host, or to loopback
    from loopback. So no registry elsewhere makes us call services of this machine.
    """
    parts = urlsplit(realm)
    host, registry_host = parts.hostname or "", urlsplit(endpoint.url).hostname or ""
    is_allowed = parts.scheme == "https" and not (
        is_loopback(host) and not is_loopback(registry_host)
    )
    if parts.scheme == "http" and endpoint.is_plain:
        is_allowed = host == registry_host or (is_loopback(host) and is_loopback(registry_host))
    if not is_allowed or not host or parts.username:
        raise Forbidden(f'"{endpoint.registry}" sends us to "{realm[:200]}" for a token: refused')


def _check_confidant(realm: str, endpoint: Endpoint) -> None:
    """Refuse realms that may not see the credentials of a registry.

    Another host may, if the registry itself says so and has shown who it is; Docker Hub's tokens
    come from auth.docker.io. Whoever stands between us and a registry that was not verified could
    name any.
    """
    if _is_same_place(realm, endpoint) or (endpoint.verifies and not endpoint.is_plain):
        return
    raise Forbidden(
        f'"{endpoint.registry}" asks for its credentials to be sent to "{urlsplit(realm).netloc}", '
        "and is not verified by TLS: refused",
        f"give it TLS and put its authority into certs.d/{endpoint.registry}/ca.crt",
    )


def _is_same_place(realm: str, endpoint: Endpoint) -> bool:
    """Tell whether a realm is on the registry's own host."""
    host, registry_host = (urlsplit(url).hostname or "" for url in (realm, endpoint.url))
    return host == registry_host or (is_loopback(host) and is_loopback(registry_host))
