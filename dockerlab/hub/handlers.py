"""The distribution protocol over a `HubStore`: reading and writing, with a token where one is set.

See distribution-spec/spec.md; every handler names its endpoints. The application is `service`'s,
the errors and pages are `server`'s.
"""

import base64
import binascii
import hmac
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from dockerlab.errors import BadDigest, DockerlabError, NotFound, Unavailable
from dockerlab.hub.records import ManifestRow
from dockerlab.hub.server import RegistryError, RegistryHandler, byte_range
from dockerlab.hub.store import HubStore
from dockerlab.hub.upstream import Upstream
from dockerlab.oci.digest import Digest, parse_digest

__all__ = ["Blobs", "Catalog", "Hub", "Manifests", "StoreHandler", "Tags", "Version"]

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
# distribution-spec/spec.md#pulling-manifests, <name>.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_MAX_NAME = 255
_PIECE_BYTES = 1 << 20
_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """What the handlers are handed.

    Parameters
    ----------
    store : HubStore
        The images.
    upstream : Upstream, optional
        Where the others come from.
    token : str
        What clients have to show, as a bearer token or as anybody's password; '' for nothing.
    is_read_only : bool
        Nobody may write.
    has_catalog : bool
        Repositories are listed.
    """

    store: HubStore
    upstream: Upstream | None = None
    token: str = ""
    is_read_only: bool = False
    has_catalog: bool = True


class StoreHandler(RegistryHandler):
    """What all endpoints share: who may come, and whether names are names."""

    hub: Hub

    def initialize(self, hub: Hub) -> None:  # type: ignore[override] # another way of serving
        """Take what is served."""
        self.hub = hub

    def prepare(self) -> None:
        """Refuse who has no token, what writes where nobody may, and what is nowhere."""
        if self.hub.token and not self._has_token():
            raise RegistryError(401, "UNAUTHORIZED", "authentication required")
        if self.hub.is_read_only and self.request.method not in _READING:
            raise RegistryError(405, "UNSUPPORTED", "this registry can only be read")
        if type(self) is StoreHandler:
            raise RegistryError(404, "NAME_UNKNOWN", f'there is nothing at "{self.request.path}"')
        name = self.path_kwargs.get("name")
        if name is not None and (len(name) > _MAX_NAME or not _REPOSITORY.fullmatch(name)):
            raise RegistryError(400, "NAME_INVALID", f'"{name[:_MAX_NAME]}" names no repository')

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Say how to come in, where that is what is missing."""
        if status_code == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", 'Basic realm="dockerlab hub"')
        super().write_error(status_code, **kwargs)

    def _has_token(self) -> bool:
        scheme, _, value = self.request.headers.get("Authorization", "").partition(" ")
        shown = value.strip()
        if scheme.lower() == "basic":
            try:
                shown = base64.b64decode(shown, validate=True).decode().partition(":")[2]
            except (binascii.Error, ValueError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(shown.encode(), self.hub.token.encode())

    def digest(self, text: str) -> Digest:
        """Return a digest that came in an address."""
        try:
            return parse_digest(text)
        except BadDigest as exc:
            raise RegistryError(400, "DIGEST_INVALID", exc.message) from exc

    def done(self, status: int, location: str = "", digest: str = "") -> None:
        """Answer that something was done."""
        self.set_status(status)
        if location:
            self.set_header("Location", location)
        if digest:
            self.set_header("Docker-Content-Digest", digest)
        self.finish()


class Version(StoreHandler):
    """end-1: the registry speaks this protocol."""

    def get(self) -> None:
        """Answer."""
        self.finish({})

    head = get


class Catalog(StoreHandler):
    """Docker's own extension: the list of repositories."""

    def get(self) -> None:
        """Give a page of names; without a catalogue there are none."""
        names = self.hub.store.records.names() if self.hub.has_catalog else []
        self.finish({"repositories": self.page(names)})

    head = get


class Tags(StoreHandler):
    """end-8a, end-8b: the tags of a repository."""

    def get(self, name: str) -> None:
        """Give a page of tags."""
        records = self.hub.store.records
        if not records.manifests(name):
            raise RegistryError(404, "NAME_UNKNOWN", f'there is no repository "{name}"')
        self.finish({"name": name, "tags": self.page(records.tags(name))})

    head = get


class Manifests(StoreHandler):
    """end-3, end-7, end-9: a manifest or an index, by tag or by digest."""

    async def get(self, name: str, reference: str) -> None:
        """Give the bytes as they came: converting would change their digest."""
        digest = await self._find(name, reference)
        found = self.hub.store.manifest(name, digest) if digest else None
        if found is None:
            raise RegistryError(
                404, "MANIFEST_UNKNOWN", f'there is no manifest "{reference}" in "{name}"'
            )
        row, data = found
        self.set_header("Content-Type", row.media_type)
        self.set_header("Docker-Content-Digest", row.digest)
        self.finish(data)

    head = get

    def put(self, name: str, reference: str) -> None:
        """Take a manifest."""
        self._check(reference)
        media_type = self.request.headers.get("Content-Type", "")
        try:
            digest, document = self.hub.store.put_manifest(
                name, reference, self.request.body, media_type
            )
        except NotFound as exc:
            raise RegistryError(404, "MANIFEST_BLOB_UNKNOWN", exc.message) from exc
        except BadDigest as exc:
            raise RegistryError(400, "DIGEST_INVALID", exc.message) from exc
        except DockerlabError as exc:
            raise RegistryError(400, "MANIFEST_INVALID", exc.message) from exc
        if document.subject:
            self.set_header("OCI-Subject", document.subject)
        self.done(201, f"/v2/{name}/manifests/{digest}", digest)

    def delete(self, name: str, reference: str) -> None:
        """Delete a tag, or a manifest with its tags."""
        self._check(reference)
        if reference.startswith("sha256:"):
            was_there = self.hub.store.delete_manifest(name, self.digest(reference))
        else:
            was_there = self.hub.store.records.delete_tag(name, reference)
        if not was_there:
            raise RegistryError(
                404, "MANIFEST_UNKNOWN", f'there is no manifest "{reference}" in "{name}"'
            )
        self.done(202)

    def _check(self, reference: str) -> None:
        if ":" in reference:
            self.digest(reference)
        elif not _TAG.fullmatch(reference):
            raise RegistryError(400, "MANIFEST_INVALID", f'"{reference[:128]}" is not a tag')

    async def _find(self, name: str, reference: str) -> Digest | None:
        """Return the digest of what is here, or has been fetched for this."""
        self._check(reference)
        store, upstream = self.hub.store, self.hub.upstream
        is_digest = reference.startswith("sha256:")
        tagged = None if is_digest else store.records.tag(name, reference)
        known = Digest(reference) if is_digest else tagged[0] if tagged else None
        is_here = known is not None and store.manifest(name, known) is not None
        if upstream is None or (is_here and (is_digest or upstream.is_fresh(name, reference))):
            return known
        try:
            row = await upstream.manifest(name, reference)
        except DockerlabError as exc:
            if is_here:
                return known  # An old one is better than none while nobody can be asked.
            raise _bad_gateway(exc) from exc
        return _digest_of(row)


class Blobs(StoreHandler):
    """end-2, end-10: a blob, whole or a range of it."""

    async def get(self, name: str, digest: str) -> None:
        """Give the bytes: from the store, or as they come from upstream."""
        wanted = self.digest(digest)
        store, upstream = self.hub.store, self.hub.upstream
        path, size = store.blob(name, wanted), store.records.link(name, wanted)
        if size is None or (path is None and upstream is None):
            raise RegistryError(404, "BLOB_UNKNOWN", f'there is no blob "{digest}" in "{name}"')
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Docker-Content-Digest", wanted)
        self.set_header("Accept-Ranges", "bytes")
        begin, end = byte_range(self, size)
        self.set_header("Content-Length", str(end - begin))
        if self.request.method == "HEAD":
            self.finish()
        elif path is not None:
            store.records.touch_use(wanted)
            await self._send(_read(path, begin, end))
        elif upstream is not None:
            await self._send(upstream.fetch(name, wanted, size).pieces(begin, end))

    head = get

    def delete(self, name: str, digest: str) -> None:
        """Take a blob from the repository."""
        if not self.hub.store.delete_blob(name, self.digest(digest)):
            raise RegistryError(404, "BLOB_UNKNOWN", f'there is no blob "{digest}" in "{name}"')
        self.done(202)

    async def _send(self, pieces: AsyncIterator[bytes]) -> None:
        """Write what comes; what does not come ends the connection, for the head is out."""
        is_begun = False
        try:
            async for piece in pieces:
                is_begun = True
                self.write(piece)
                await self.flush()
        except StreamClosedError:
            return
        except DockerlabError as exc:
            if not is_begun:
                self.clear_header("Content-Length")
                raise _bad_gateway(exc) from exc
            connection = self.request.connection
            if isinstance(connection, HTTP1Connection):
                connection.close()
            return
        self.finish()


async def _read(path: Path, begin: int, end: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end and (piece := file.read(min(_PIECE_BYTES, end - begin))):
            begin += len(piece)
            yield piece
    if begin < end:
        raise Unavailable("the blob is shorter on disk than it was")


def _digest_of(row: ManifestRow | None) -> Digest | None:
    return None if row is None else row.digest


def _bad_gateway(error: DockerlabError) -> RegistryError:
    return RegistryError(502, "UNKNOWN", f"the upstream cannot be asked: {error.message}")
