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
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec

from dockerlab.errors import Forbidden, Unauthorized, Unavailable
from dockerlab.image.registry.mirrors import Endpoint, is_loopback
from dockerlab.image.registry.transport import Broken, Transport, describe_errors, read_limited

__all__ = ["Access", "Challenge", "Credentials", "no_credentials", "parse_challenges"]

_MAX_TOKEN_BYTES = 256 << 10
_OK = 200
# The specification's default when the answer does not say.
_DEFAULT_LIFE_S = 60.0
# A token that ends while a request is on its way is of no use.
_MARGIN_S = 5.0

# RFC 9110, 11.6.1: schemes and their parameters, all separated by commas.
_PART = re.compile(
    r"""\s*,?\s*(?:
        (?P<key>[A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))
        |(?P<scheme>[A-Za-z0-9!#$%&'*+.^_`|~-]+)(?=\s|,|$)
    )""",
    re.VERBOSE,
)

# Name of a registry -> user and password, or None.
Credentials = Callable[[str], "tuple[str, str] | None"]


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme of a ``WWW-Authenticate`` header, in lower case, with its parameters."""

    scheme: str
    parameters: dict[str, str]


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""
    expires_in: float = _DEFAULT_LIFE_S


def no_credentials(registry: str) -> "tuple[str, str] | None":
    """Know no credentials for any registry."""
    del registry
    return None


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


class Access:
    """Gives the ``Authorization`` for an endpoint and a repository; keeps tokens while they live.

    Threads may share it.
    """

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials = no_credentials,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
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
            What is to be pulled; the scope is made of it and not taken from the challenge.
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
            The realm is at an address where nothing may be sent.
        """
        with self._lock:
            self._known.pop((endpoint.url, repository), None)
        for offered in parse_challenges(challenge):
            if offered.scheme == "bearer" and "realm" in offered.parameters:
                value, life_s = self._fetch_token(endpoint, repository, offered, stop)
                break
            if offered.scheme == "basic" and (known := self._credentials(endpoint.registry)):
                value, life_s = _basic(*known), float("inf")
                break
        else:
            raise Unauthorized(
                f'"{endpoint.registry}" wants a user and a password', "log in to the registry first"
            )
        with self._lock:
            self._known[endpoint.url, repository] = (value, self._clock() + life_s - _MARGIN_S)
        return {"Authorization": value}

    def _fetch_token(
        self, endpoint: Endpoint, repository: str, challenge: Challenge, stop: threading.Event
    ) -> tuple[str, float]:
        """Ask the realm; return the header's value and how many seconds it lives."""
        realm = challenge.parameters["realm"]
        _check_realm(realm, endpoint)
        query = {"scope": f"repository:{repository}:pull"}
        if service := challenge.parameters.get("service"):
            query["service"] = service
        known = self._credentials(endpoint.registry)
        headers = {"Authorization": _basic(*known)} if known else {}
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        answer = self._transport.get(url, headers, verifies=endpoint.verifies, stop=stop)
        if answer.status != _OK:
            raise Unauthorized(f'no access to "{endpoint.registry}": {describe_errors(answer)}')
        try:
            data = read_limited(answer, _MAX_TOKEN_BYTES, "the token")
            token = msgspec.json.decode(data, type=_Token)
        except (msgspec.MsgspecError, RecursionError, Broken) as exc:
            raise Unavailable(f'"{urlsplit(realm).netloc}" gives no token: {exc}') from exc
        text = token.token or token.access_token
        if not text or not text.isascii() or not text.isprintable():
            raise Unavailable(f'"{urlsplit(realm).netloc}" gives no token')
        return f"Bearer {text}", max(token.expires_in, _DEFAULT_LIFE_S)


def _basic(user: str, password: str) -> str:
    """Return the value of RFC 7617."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


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
