"""Requests to registries: redirects by hand, patience in bounds, errors of ours.

Knows HTTP but not what is fetched (`session`) and not how access is granted (`auth`).
"""

import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from dockerlab.errors import Cancelled, RegistryUnreachable, Unavailable
from dockerlab.image.registry.connection import Pools
from dockerlab.image.registry.mirrors import is_loopback

__all__ = [
    "MAX_ATTEMPTS",
    "Answer",
    "Broken",
    "Transport",
    "check_redirect",
    "connected_at",
    "describe_errors",
    "host_of",
    "pause",
    "read_limited",
    "wait",
]

MAX_ATTEMPTS = 5

_HEADERS = {"User-Agent": "dockerlab", "Accept-Encoding": "identity"}
_MAX_REDIRECTS = 5
_MAX_ERROR_BYTES = 64 << 10
_MAX_SHOWN_CHARACTERS = 300
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 15.0
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_TOO_MANY = 429
_BUSY = frozenset((_TOO_MANY, 500, 502, 503, 504))

Answer = urllib3.BaseHTTPResponse


class Broken(Exception):
    """An answer broke off: it can be asked for again, from where it stopped."""


class _ErrorItem(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct, frozen=True):
    errors: tuple[_ErrorItem, ...] = ()
    details: str = ""


def _ignore(_answer: Answer) -> None:
    """Notice nothing."""


class Transport:
    """Sends requests; threads may share it."""

    def __init__(
        self,
        pools: Pools | None = None,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._pools = pools or Pools()
        self._wall_clock = wall_clock
        self._live: set[Answer] = set()
        self._lock = threading.Lock()

    def get(
        self,
        url: str,
        headers: dict[str, str],
        *,
        verifies: bool = True,
        stop: threading.Event,
        attempts: int = MAX_ATTEMPTS,
        notice: Callable[[Answer], None] = _ignore,
    ) -> Answer:
        """Return the answer to a request, with the body unread and any status but a busy one.

        Parameters
        ----------
        url, headers : str, dict
            The request. ``Authorization`` is sent to this address's host and port only.
        verifies : bool
            Whether certificates are checked.
        stop : Event
            Ends waiting.
        attempts : int
            How often a busy or breaking server is asked.
        notice : callable
            Is shown the head of every answer, busy ones too.

        Raises
        ------
        RegistryUnreachable
            No connection.
        Unavailable
            The server stays busy, breaks off, or wants us to wait longer than is sensible.
        Cancelled
            `stop` was set.
        """

        def send() -> Answer:
            """Ask once."""
            answer = self._follow(url, headers, verifies=verifies)
            notice(answer)
            return answer

        return self._insist(send, url, stop, attempts)

    def post_form(
        self, url: str, fields: Mapping[str, str], *, verifies: bool = True, stop: threading.Event
    ) -> Answer:
        """Send a form, which goes to this address and never on to another; otherwise as `get`."""

        def send() -> Answer:
            """Ask once."""
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode(fields).encode("ascii")
            with _errors_of(url):
                return self._pools.post(url, _HEADERS | headers, body, verifies=verifies)

        return self._insist(send, url, stop, MAX_ATTEMPTS)

    def send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: Callable[[], Iterator[bytes]] | None = None,
        *,
        verifies: bool = True,
        stop: threading.Event,
        attempts: int = MAX_ATTEMPTS,
    ) -> Answer:
        """Send a request of another method; redirects are the caller's, except those of HEAD.

        Parameters
        ----------
        body : callable
            Returns the pieces of the body, from the first, at each attempt; their
            ``Content-Length`` is among the headers.
        """

        def send() -> Answer:
            """Ask once."""
            if method == "HEAD":
                return self._follow(url, headers, verifies=verifies, method=method)
            pieces = body() if body is not None else b""
            with _errors_of(url):
                return self._pools.send(method, url, _HEADERS | headers, pieces, verifies=verifies)

        return self._insist(send, url, stop, attempts)

    def _insist(
        self, send: Callable[[], Answer], url: str, stop: threading.Event, attempts: int
    ) -> Answer:
        for attempt in range(1, attempts + 1):
            try:
                answer = send()
            except Broken as exc:
                if attempt == attempts:
                    raise Unavailable(f'"{host_of(url)}" breaks off: {exc}') from exc
                pause_s = pause(attempt)
            else:
                if answer.status not in _BUSY:
                    return answer
                asked_s = self._retry_after(answer)
                text = describe_errors(answer)
                pause_s = max(asked_s, pause(attempt))
                if attempt == attempts or pause_s > _LONGEST_PAUSE_S:
                    raise _busy(url, answer.status, text, asked_s)
            wait(stop, pause_s)
        raise AssertionError("the loop ends by itself")

    def follow_up(self, answer: Answer) -> None:
        """Remember an answer whose body is read by another thread, for `abort`."""
        with self._lock:
            self._live.add(answer)

    def finish(self, answer: Answer, *, reusable: bool) -> None:
        """Give back the connection of an answer; a body left unread closes it."""
        with self._lock:
            self._live.discard(answer)
        if reusable:
            answer.release_conn()
        else:
            answer.close()

    def abort(self) -> None:
        """Break off every answer that is being read, whichever thread waits for it."""
        with self._lock:
            for answer in self._live:
                try:
                    answer.shutdown()
                except (ValueError, RuntimeError, OSError):
                    # It has just ended by itself.
                    continue

    def close(self) -> None:
        """Close idle connections."""
        self._pools.close()

    def _follow(
        self, url: str, headers: dict[str, str], *, verifies: bool, method: str = "GET"
    ) -> Answer:
        origin = urlsplit(url)[:2]
        for _ in range(_MAX_REDIRECTS):
            with _errors_of(url):
                answer = self._pools.send(method, url, _HEADERS | headers, verifies=verifies)
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            answer.close()
            target = urljoin(url, location)
            check_redirect(url, target)
            if urlsplit(target)[:2] != origin:
                # The token is for the registry. A storage server that gets it could use it, and
                # many refuse a request with two kinds of credentials (CVE-2020-15157).
                headers = {key: value for key, value in headers.items() if key != "Authorization"}
            url = target
        raise Unavailable(f'"{host_of(url)}" redirects in a circle')

    def _retry_after(self, answer: Answer) -> float:
        """Return the seconds that the server asks us to wait (RFC 9110, 10.2.3), or 0."""
        text = answer.headers.get("Retry-After", "")
        if text.isdigit():
            return float(text)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - self._wall_clock())
        except ValueError:
            return 0.0


@contextmanager
def _errors_of(url: str) -> Iterator[None]:
    """Turn urllib3's errors into ours."""
    try:
        yield
    except (NewConnectionError, ConnectTimeoutError) as exc:
        raise RegistryUnreachable(f'cannot reach "{host_of(url)}": {_reason(exc)}') from exc
    except ProxyError as exc:
        raise RegistryUnreachable(
            f'cannot reach "{host_of(url)}" through the proxy: {_reason(exc)}',
            "look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the engine's environment",
        ) from exc
    except SSLError as exc:
        raise RegistryUnreachable(
            f'cannot reach "{host_of(url)}" over TLS: {exc}',
            _tls_hint(host_of(url), exc),
        ) from exc
    except HTTPError as exc:
        raise Broken(str(exc)) from exc


def _tls_hint(host: str, error: SSLError) -> str:
    """Return what to do about a failed handshake, by who it was that refused."""
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"put its authority into certs.d/{host}/ca.crt, or list it in insecure-registries of "
            "config.toml"
        )
    # An alert is the server's word (RFC 8446, 6.2).
    if "ALERT" in (getattr(cause, "reason", "") or ""):
        return f"put what it wants to be shown into certs.d/{host}/client.cert and client.key"
    return "a registry without TLS must be listed in insecure-registries of config.toml"


def connected_at(answer: Answer) -> float:
    """Return when the connection of an answer was made, on the monotonic clock."""
    connected_s = getattr(answer.connection, "connected_s", 0.0)
    return float(connected_s)


def read_limited(answer: Answer, limit: int, what: str) -> bytes:
    """Return a body of at most `limit` bytes.

    Raises
    ------
    Unavailable
        It is longer.
    Broken
        It broke off.
    """
    data = b""
    try:
        # Up to an empty piece: only there urllib3 compares with the announced length.
        while len(data) <= limit and (
            piece := answer.read(limit + 1 - len(data), decode_content=False)
        ):
            data += piece
    except HTTPError as exc:
        answer.close()
        raise Broken(str(exc)) from exc
    if len(data) > limit:
        answer.close()
        raise Unavailable(f"{what} is larger than {limit} bytes")
    answer.release_conn()
    return data


def describe_errors(answer: Answer) -> str:
    """Return what an error answer says, in Docker's form ``code in words: message``.

    Closes the answer. See distribution-spec/spec.md#error-codes.
    """
    status = f"received unexpected HTTP status: {answer.status} {answer.reason or ''}".strip()
    try:
        data = read_limited(answer, _MAX_ERROR_BYTES, "the error")
    except (Broken, Unavailable):
        return status
    finally:
        answer.close()
    try:
        errors = msgspec.json.decode(data, type=_Errors)
    except (msgspec.MsgspecError, RecursionError):
        # Proxies and TLS servers answer in plain words; a page of HTML says nothing in one line.
        is_text = answer.headers.get("Content-Type", "text/plain").startswith("text/plain")
        words = data.decode("utf-8", "replace").strip() if is_text else ""
        return _on_one_line(f"{status} ({words})" if words else status)
    if errors.errors:
        first = errors.errors[0]
        return _on_one_line(f"{first.code.lower().replace('_', ' ')}: {first.message}")
    return _on_one_line(errors.details or status)


def _on_one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:_MAX_SHOWN_CHARACTERS]


def host_of(url: str) -> str:
    """Return host and port of an address, for messages."""
    return urlsplit(url).netloc


def pause(attempt: int) -> float:
    """Return the seconds before attempt `attempt` + 1: doubling, and not all clients in step."""
    return _FIRST_PAUSE_S * 2.0 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311


def wait(stop: threading.Event, seconds: float) -> None:
    """Wait; raise Cancelled as soon as `stop` is set."""
    if stop.wait(seconds):
        raise Cancelled("the pull was cancelled")


def check_redirect(url: str, target: str) -> None:
    """Refuse to be sent on to what is no address, or from TLS to none."""
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unavailable(f'"{host_of(url)}" redirects to "{target[:100]}", which is no address')
    if parts.scheme == "http" and url.startswith("https://") and not is_loopback(parts.hostname):
        raise Unavailable(f'"{host_of(url)}" redirects to "{parts.netloc}" without TLS')


def _busy(url: str, status: int, text: str, asked_s: float) -> Unavailable:
    hint = f"try again in {asked_s:.0f} s" if asked_s else "try again later"
    if status == _TOO_MANY:
        return Unavailable(f'"{host_of(url)}" refuses more requests for now: {text}', hint)
    return Unavailable(f'"{host_of(url)}" does not answer properly: {text}', hint)


def _reason(error: Exception) -> str:
    """Return the part of urllib3's message that says why."""
    return str(error.args[-1]).rpartition(": ")[2]
