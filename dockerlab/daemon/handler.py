"""What every request shares: the version prefix, JSON, and one table from error kind to status.

It knows no resource; those are in `routes`. Read `Services`, then `ApiHandler`, then `status_of`.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from dockerlab import __version__, errors
from dockerlab.daemon.backend import Engine
from dockerlab.daemon.query import Query

__all__ = [
    "API_VERSION",
    "MIN_API_VERSION",
    "Activity",
    "ApiHandler",
    "NotFoundHandler",
    "Services",
    "message_of",
    "status_of",
]

API_VERSION = "1.45"
MIN_API_VERSION = "1.24"

_log = logging.getLogger("dockerlab.daemon")
_T = TypeVar("_T")

# The only place where an error becomes a number. The first class that fits is taken, so that the
# special stand before the general.
_STATUS: tuple[tuple[type[errors.DockerlabError], HTTPStatus], ...] = (
    (errors.InvalidArgument, HTTPStatus.BAD_REQUEST),
    (errors.CommandNotExecutable, HTTPStatus.BAD_REQUEST),
    (errors.CommandNotFound, HTTPStatus.BAD_REQUEST),
    (errors.Unauthorized, HTTPStatus.UNAUTHORIZED),
    (errors.Forbidden, HTTPStatus.FORBIDDEN),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.NotModified, HTTPStatus.NOT_MODIFIED),
    (errors.Unsupported, HTTPStatus.NOT_IMPLEMENTED),
    (errors.Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.Cancelled, HTTPStatus.SERVICE_UNAVAILABLE),
)

# What the docker client searches for to choose 127 and 126 (docker/cli, container/run.go).
_PHRASES: tuple[tuple[type[errors.StartFailure], tuple[str, ...]], ...] = (
    (errors.CommandNotFound, ("executable file not found", "no such file or directory")),
    (errors.CommandNotExecutable, ("permission denied", "is a directory")),
)


@dataclass(slots=True)
class Activity:
    """Counts open requests, so that the server knows when nobody wants anything."""

    open_requests: int = 0
    is_idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.is_idle.set()

    def begin(self) -> None:
        """Count a request that begins."""
        self.open_requests += 1
        self.is_idle.clear()

    def end(self) -> None:
        """Uncount one: answered, given up, or become somebody else's connection."""
        self.open_requests -= 1
        if not self.open_requests:
            self.is_idle.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes are handed: the engine, the count of requests, and the way to end it all."""

    engine: Engine
    activity: Activity
    shut_down: Callable[[], None]


class ApiHandler(RequestHandler):
    """Base of all handlers: each parses, calls the engine, and writes; any may raise our errors."""

    services: Services

    def initialize(self, services: Services) -> None:
        """Take what `app.make_app` gives."""
        self.services = services
        self._work: asyncio.Task[Any] | None = None
        self._is_counted = False

    @property
    def engine(self) -> Engine:
        """The engine that this daemon serves."""
        return self.services.engine

    @property
    def query(self) -> Query:
        """The parameters behind the question mark."""
        return Query(self.request.query_arguments)

    @property
    def is_finished(self) -> bool:
        """Whether the response is complete or the connection somebody else's."""
        return self._finished

    def set_default_headers(self) -> None:
        """Say who answers, as dockerd does on every response."""
        self.set_header("Server", f"dockerlab/{__version__} (linux)")
        self.set_header("Api-Version", API_VERSION)
        self.set_header("Docker-Experimental", "false")
        self.set_header("Ostype", "linux")

    def prepare(self) -> None:
        """Count the request and check the version that the path asks for."""
        self.services.activity.begin()
        self._is_counted = True
        # Without a prefix a request means the newest version (Engine API, "Versioning").
        asked = self.path_kwargs.pop("version", None) or API_VERSION
        self.api_version = _parse_version(asked)
        if self.api_version > _parse_version(API_VERSION):
            raise errors.InvalidArgument(
                f"client version {asked} is too new. Maximum supported API version is {API_VERSION}"
            )
        if self.api_version < _parse_version(MIN_API_VERSION):
            raise errors.InvalidArgument(
                f"client version {asked} is too old. Minimum supported API version is"
                f" {MIN_API_VERSION}, please upgrade your client to a newer version"
            )

    def on_finish(self) -> None:
        """Count the request as answered."""
        self.leave()

    def on_connection_close(self) -> None:
        """Stop working for a client that is gone."""
        if self._work is not None:
            self._work.cancel()
        self.leave()

    def leave(self) -> None:
        """Take the request out of the count, once."""
        if self._is_counted:
            self._is_counted = False
            self.services.activity.end()

    def compute_etag(self) -> None:
        """Give no entity tag: nothing here may be answered with "not modified" by its bytes."""

    def is_at_least(self, version: str) -> bool:
        """Return whether the client speaks this version of the API or a newer one."""
        return self.api_version >= _parse_version(version)

    def write_json(self, value: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Answer with `value` as JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.write(msgspec.json.encode(value) + b"\n")

    def write_nothing(self) -> None:
        """Answer that it is done."""
        self.set_status(HTTPStatus.NO_CONTENT)

    def read_json(self, kind: type[_T]) -> _T:
        """Decode the body as `kind`; an empty one counts as ``{}``.

        Raises
        ------
        InvalidArgument
            Not JSON, not of that shape, or nested too deeply.
        """
        try:
            return msgspec.json.decode(self.request.body or b"{}", type=kind)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as exc:
            raise errors.InvalidArgument(f"invalid JSON in the request's body: {exc}") from exc

    async def while_connected(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`, but cancel it as soon as the client closes the connection."""
        self._work = asyncio.ensure_future(work)
        try:
            await self._work
        except StreamClosedError:
            _log.debug("%s: the client is gone", self.request.path)
        except asyncio.CancelledError:
            # Either `on_connection_close` cancelled the work, which is what it is for, or somebody
            # cancels this very handler, who has to get the error.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        finally:
            self._work = None

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with the status of the error's kind."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if error is not None and not isinstance(error, HTTPError):
            status_code = status_of(error)
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # dockerd's router knows no difference between a wrong path and a wrong method.
            status_code = HTTPStatus.NOT_FOUND
        if self._headers_written:
            # The status is out. To end here as usual would say that all went well.
            self._drop_connection()
        else:
            super().send_error(int(status_code), **kwargs)

    def _drop_connection(self) -> None:
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write ``{"message": …}`` (Engine API, ErrorResponse)."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, HTTPError):
            text = error.log_message or "page not found"
        elif error is not None:
            text = message_of(error)
        else:
            text = HTTPStatus(status_code).phrase.lower()
        if status_code == HTTPStatus.NOT_FOUND and not isinstance(error, errors.DockerlabError):
            text = "page not found"
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode({"message": text}) + b"\n")

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log our own errors in one line and what nobody foresaw in full."""
        request = f"{self.request.method} {self.request.path}"
        if isinstance(value, errors.DockerlabError | HTTPError | StreamClosedError):
            _log.info("%s: %s", request, value)
        elif typ is not None and value is not None:
            _log.error("%s", request, exc_info=(typ, value, tb))


class NotFoundHandler(ApiHandler):
    """Answers every path that is not in the table."""

    def prepare(self) -> None:
        """Raise, whatever the method is."""
        super().prepare()
        raise HTTPError(HTTPStatus.NOT_FOUND)


def status_of(error: BaseException) -> HTTPStatus:
    """Return the status that tells a client what kind of error it was."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def message_of(error: BaseException) -> str:
    """Return the sentence for the client, with the phrases that clients look for.

    Examples
    --------
    >>> message_of(errors.CommandNotFound('cannot start "frob"'))
    'cannot start "frob": executable file not found in $PATH'
    """
    if not isinstance(error, errors.DockerlabError):
        return f"the engine failed ({type(error).__name__}: {error}); its log tells more"
    text = error.message
    for kind, phrases in _PHRASES:
        if isinstance(error, kind) and not any(phrase in text.lower() for phrase in phrases):
            text += f": {phrases[0]}" + (" in $PATH" if kind is errors.CommandNotFound else "")
    if error.hint and error.hint not in text:
        text += f"; {error.hint}"
    return text


def _parse_version(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", text, re.ASCII)
    if match is None:
        raise errors.InvalidArgument(f'invalid API version "{text}"')
    return int(match[1]), int(match[2])
