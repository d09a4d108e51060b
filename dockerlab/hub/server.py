"""Serve repositories over HTTP: the reading side of the distribution protocol.

Not a cache and not a store: it asks a `Repositories` for bytes. See distribution-spec/spec.md
(endpoints end-1 to end-8b); every handler below names its endpoint.
"""

import re
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlencode

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import add_accept_handler, bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from dockerlab.errors import BadDigest, DockerlabError
from dockerlab.oci.descriptor import Descriptor
from dockerlab.oci.digest import Digest, parse_digest

__all__ = [
    "NAME",
    "PlainServer",
    "RegistryError",
    "RegistryHandler",
    "Repositories",
    "byte_range",
    "listen",
    "make_app",
]

NAME = r"(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
_TLS_HANDSHAKE = 22  # RFC 8446 section 5.1: the type of a connection's first record
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)


class Repositories(Protocol):
    """What the server needs of whoever keeps the images."""

    def names(self) -> Sequence[str]:
        """Return the names of all repositories."""
        ...

    def tags(self, name: str) -> Sequence[str]:
        """Return the tags of a repository; none when there is no such repository."""
        ...

    async def manifest(self, name: str, reference: str) -> Descriptor | None:
        """Describe the manifest or index of a tag or a digest; may make it first."""
        ...

    def content(self, name: str, digest: Digest) -> bytes | None:
        """Return a manifest's or a blob's bytes."""
        ...


class RegistryError(HTTPError):
    """An error as distribution-spec/spec.md#error-codes words it."""

    def __init__(self, status: int, code: str, message: str, content_range: str = "") -> None:
        super().__init__(status, "%s", message)
        self.code = code
        self.message = message
        self.content_range = content_range


def make_app(repositories: Repositories, *, has_catalog: bool = True) -> Application:
    """Return the application that serves `repositories`; without a catalog, who knows their names.

    A catalog that is not there has no repositories, as a registry may say to a stranger.
    """
    given = {"repositories": repositories}
    listed = {"repositories": repositories, "is_public": has_catalog}
    return Application(
        [
            (r"/v2/?", _VersionHandler, given),
            (r"/v2/_catalog", _CatalogHandler, listed),
            (rf"/v2/{NAME}/tags/list", _TagsHandler, given),
            (rf"/v2/{NAME}/manifests/(?P<reference>[^/]+)", _ManifestHandler, given),
            (rf"/v2/{NAME}/blobs/(?P<digest>[^/]+)", _BlobHandler, given),
        ],
        default_handler_class=RegistryHandler,
        default_handler_args=given,
        log_function=_log_nothing,
    )


def listen(app: Application, port: int = 0) -> tuple[HTTPServer, int]:
    """Serve `app` on loopback; call it on a running loop.

    Parameters
    ----------
    app : Application
        From `make_app`.
    port : int
        0 lets the kernel choose.

    Returns
    -------
    tuple of HTTPServer and int
        The server (the caller stops it) and its port.

    Raises
    ------
    OSError
        The port is taken.
    """
    (listening,) = bind_sockets(port, address="127.0.0.1")
    server = PlainServer(app)
    server.add_socket(listening)
    bound: int = listening.getsockname()[1]
    return server, bound


class _PlainStream(IOStream):
    """A connection that answers a TLS greeting at once.

    Docker, podman and skopeo try TLS before plain HTTP also on loopback, and would wait ten seconds
    for an answer while we wait for the end of the headers.
    """

    _is_new = True

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read, and note the first bytes of a connection."""
        count = super().read_from_fd(buf)
        if count and self._is_new:
            self._is_new = False
            if buf[0] == _TLS_HANDSHAKE:
                self.socket.send(b"HTTP/1.0 400 Bad Request\r\n\r\nthis server speaks plain HTTP\n")
                return 0
        return count


class PlainServer(HTTPServer):
    """A server without TLS that says so at once to those who come with it."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Begin with nothing to give back."""
        super().initialize(*args, **kwargs)
        self._undo = ExitStack()

    def add_socket(self, listening: socket.socket) -> None:
        """Accept on a socket that is closed with the server."""
        self._undo.enter_context(listening)
        self._undo.callback(add_accept_handler(listening, self._accept))

    def stop(self) -> None:
        """Stop accepting and close what listens."""
        self._undo.close()
        super().stop()

    def _accept(self, connection: socket.socket, address: tuple[str, int]) -> None:
        self.handle_stream(_PlainStream(connection), address)


class RegistryHandler(RequestHandler):
    """What all endpoints share; alone it answers every other path with 404."""

    repositories: Repositories

    def initialize(self, repositories: Repositories) -> None:
        """Take what is served."""
        self.repositories = repositories

    def set_default_headers(self) -> None:
        """Say which protocol this is, and not which program."""
        self.clear_header("Server")
        self.set_header("Docker-Distribution-API-Version", "registry/2.0")
        self.set_header("X-Content-Type-Options", "nosniff")

    def prepare(self) -> None:
        """Refuse what is no read, and what is nowhere."""
        if self.request.method not in ("GET", "HEAD"):
            raise RegistryError(405, "UNSUPPORTED", "this registry can only be read")
        if type(self) is RegistryHandler:
            raise RegistryError(404, "NAME_UNKNOWN", f'there is nothing at "{self.request.path}"')

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Write an error as distribution-spec/spec.md#error-codes has it."""
        del status_code  # already set
        info = kwargs.get("exc_info")
        error = info[1] if isinstance(info, tuple) else None
        if isinstance(error, RegistryError):
            entry = {"code": error.code, "message": error.message}
            if error.content_range:
                self.set_header("Content-Range", error.content_range)
        else:
            entry = {"code": "UNKNOWN", "message": self._reason}
        self.set_header("Content-Type", "application/json")
        self.finish({"errors": [entry]})

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what the answer does not say already: that is no event for the engine's log."""
        if not isinstance(value, RegistryError):
            super().log_exception(typ, value, tb)

    def compute_etag(self) -> str | None:
        """Return the digest: it names the bytes already."""
        digest = self._headers.get("Docker-Content-Digest")
        return f'"{digest}"' if digest else None

    def _check_repository(self, name: str) -> None:
        if name not in self.repositories.names():
            raise RegistryError(404, "NAME_UNKNOWN", f'there is no repository "{name}"')

    def page(self, items: Sequence[str]) -> list[str]:
        """Cut a list by `n` and `last`, with a link to the rest (spec.md#listing-tags)."""
        last = self.get_query_argument("last", "")
        rest = sorted(item for item in items if item > last)
        wanted = self.get_query_argument("n", "")
        if not wanted:
            return rest
        if not _COUNT.fullmatch(wanted):
            raise RegistryError(400, "PAGINATION_NUMBER_INVALID", f'"{wanted}" is not a number')
        page = rest[: int(wanted)]
        if page and len(page) < len(rest):
            query = urlencode({"n": wanted, "last": page[-1]})
            self.set_header("Link", f'<{self.request.path}?{query}>; rel="next"')
        return page


class _VersionHandler(RegistryHandler):
    """end-1: the registry speaks this protocol."""

    def get(self) -> None:
        """Answer."""
        self.finish({})

    head = get


class _CatalogHandler(RegistryHandler):
    """Docker's own extension: the list of repositories."""

    def initialize(self, repositories: Repositories, *, is_public: bool = True) -> None:
        """Take what is served, and whether it is listed."""
        super().initialize(repositories)
        self._names = repositories.names() if is_public else []

    def get(self) -> None:
        """Give a page of names."""
        self.finish({"repositories": self.page(self._names)})

    head = get


class _TagsHandler(RegistryHandler):
    """end-8a, end-8b: the tags of a repository."""

    def get(self, name: str) -> None:
        """Give a page of tags."""
        self._check_repository(name)
        self.finish({"name": name, "tags": self.page(self.repositories.tags(name))})

    head = get


class _ManifestHandler(RegistryHandler):
    """end-3: a manifest or an index, by tag or by digest.

    It is served as what it is, whatever `Accept` says: converting would change its digest.
    """

    async def get(self, name: str, reference: str) -> None:
        """Give the bytes, and say which they are."""
        self._check_repository(name)
        try:
            found = await self.repositories.manifest(name, reference)
        except DockerlabError as exc:
            # An image that is made at its first pull, and cannot be made on this machine.
            text = f"{exc.message}; {exc.hint}" if exc.hint else exc.message
            raise RegistryError(404, "NAME_UNKNOWN", text) from exc
        content = self.repositories.content(name, found.digest) if found else None
        if found is None or content is None:
            raise RegistryError(
                404, "MANIFEST_UNKNOWN", f'there is no manifest "{reference}" in "{name}"'
            )
        self.set_header("Content-Type", found.media_type)
        self.set_header("Docker-Content-Digest", found.digest)
        self.finish(content)

    head = get


class _BlobHandler(RegistryHandler):
    """end-2: a blob, whole or a range of it."""

    def get(self, name: str, digest: str) -> None:
        """Give the bytes."""
        self._check_repository(name)
        try:
            content = self.repositories.content(name, parse_digest(digest))
        except BadDigest as exc:
            raise RegistryError(400, "DIGEST_INVALID", exc.message) from exc
        if content is None:
            raise RegistryError(404, "BLOB_UNKNOWN", f'there is no blob "{digest}" in "{name}"')
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Docker-Content-Digest", digest)
        self.set_header("Accept-Ranges", "bytes")
        self.finish(self._ranged(content))

    head = get

    def _ranged(self, content: bytes) -> bytes:
        """Return the part that `Range` asks for."""
        begin, end = byte_range(self, len(content))
        return content[begin:end]


def byte_range(handler: RegistryHandler, size: int) -> tuple[int, int]:
    """Return which bytes `Range` asks for (RFC 9110 section 14), and set the answer's head.

    A header of another form than one range of bytes, or with its ends swapped, is ignored, as the
    RFC allows.

    Raises
    ------
    RegistryError
        There are no such bytes.
    """
    match = _RANGE.fullmatch(handler.request.headers.get("Range", ""))
    first, last = match.groups() if match else ("", "")
    if not (first or last) or (first and last and int(last) < int(first)):
        return 0, size
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= end:
        raise RegistryError(
            416, "UNKNOWN", f"the blob has {size} bytes", content_range=f"bytes */{size}"
        )
    handler.set_status(206)
    handler.set_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
    return begin, end


def _log_nothing(_handler: RequestHandler) -> None:
    """Keep requests out of the daemon's log: the puller logs what it does."""
