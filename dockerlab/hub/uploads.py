"""The writing side of blobs, and referrers: endpoints 4 to 6 and 11 to 13 of the distribution spec.

A body is written as it comes: no more of it than a chunk is in memory.
"""

import re

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.web import stream_request_body

from dockerlab.errors import BadDigest, Conflict, Forbidden
from dockerlab.hub.documents import parse_document
from dockerlab.hub.handlers import StoreHandler
from dockerlab.hub.server import RegistryError
from dockerlab.hub.store import Upload
from dockerlab.oci.descriptor import OCI_INDEX, Descriptor
from dockerlab.oci.manifest import Index

__all__ = ["BeginUpload", "ContinueUpload", "Referrers"]

_RANGE = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/[0-9*]+)?", re.ASCII)
# Larger than any body: what is too much is decided as it comes.
_NO_LIMIT = 1 << 62


class _Receiver(StoreHandler):
    """Takes a body into an upload."""

    _name = ""
    _upload: Upload | None = None
    _refusal: RegistryError | None = None
    _is_writing = False

    def receive(self, name: str) -> None:
        """Have what comes go to an upload."""
        upload = self.hub.store.upload(self.path_kwargs["name"], name)
        if upload is None:
            raise RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
        is_looking = self.request.method in ("GET", "HEAD", "DELETE")
        if upload.is_busy and not is_looking:
            raise RegistryError(409, "BLOB_UPLOAD_INVALID", "this upload is being written already")
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(_NO_LIMIT)
        self._name, self._upload = name, upload
        if not is_looking:
            upload.is_busy = self._is_writing = True

    async def data_received(self, chunk: bytes) -> None:
        """Write a piece; behind a refusal the rest is passed over."""
        if self._upload is None or self._refusal is not None:
            return
        try:
            await self._upload.write(chunk)
        except Forbidden as exc:
            self.hub.store.cancel_upload(self._name)
            self._refusal = RegistryError(413, "SIZE_INVALID", exc.message)

    def on_finish(self) -> None:
        """Let others go on with the upload."""
        self._release()

    def on_connection_close(self) -> None:
        """Let the client go on in another connection, from what has arrived."""
        self._release()

    def _release(self) -> None:
        if self._upload is not None and self._is_writing:
            self._upload.is_busy = self._is_writing = False

    def complete(self, digest: str) -> None:
        """Make the upload a blob."""
        if self._refusal is not None:
            raise self._refusal
        try:
            self.hub.store.finish_upload(self._name, self.digest(digest))
        except BadDigest as exc:
            raise RegistryError(400, "DIGEST_INVALID", exc.message) from exc
        self.done(201, f"/v2/{self.path_kwargs['name']}/blobs/{digest}", digest)

    def answer_progress(self, status: int) -> None:
        """Say where the upload goes on, and from which byte."""
        if self._refusal is not None:
            raise self._refusal
        offset = self._upload.offset if self._upload else 0
        self.set_header("Range", f"0-{max(0, offset - 1)}")
        self.set_header("Docker-Upload-UUID", self._name)
        self.done(status, f"/v2/{self.path_kwargs['name']}/blobs/uploads/{self._name}")


@stream_request_body
class BeginUpload(_Receiver):
    """end-4a, end-4b, end-11: begin an upload, send a blob at once, or mount one."""

    def prepare(self) -> None:
        """Begin, before the body is read."""
        super().prepare()
        if self.request.method != "POST":
            raise RegistryError(405, "UNSUPPORTED", "an upload is begun by POST")
        self._is_mounted = self._mount()
        if self._is_mounted:
            return
        digest = self.get_query_argument("digest", "")
        if digest:
            self.digest(digest)
        try:
            self.receive(self.hub.store.begin_upload(self.path_kwargs["name"]))
        except Conflict as exc:
            raise RegistryError(429, "TOOMANYREQUESTS", exc.message) from exc

    def post(self, name: str) -> None:
        """Answer where the blob goes, or that it is here."""
        digest = self.get_query_argument("digest", "")
        if self._is_mounted:
            mounted = self.get_query_argument("mount")
            self.done(201, f"/v2/{name}/blobs/{mounted}", mounted)
        elif digest:
            self.complete(digest)
        else:
            self.answer_progress(202)

    def _mount(self) -> bool:
        wanted = self.get_query_argument("mount", "")
        source = self.get_query_argument("from", "")
        if not wanted or not source:
            return False
        return self.hub.store.mount(self.path_kwargs["name"], self.digest(wanted), source)


@stream_request_body
class ContinueUpload(_Receiver):
    """end-5, end-6, end-13: the chunks of an upload, its end, and how far it is."""

    def prepare(self) -> None:
        """Find the upload, and check that this chunk is the next."""
        super().prepare()
        self.receive(self.path_kwargs["upload"])
        if self.request.method == "PUT":
            self.digest(self.get_query_argument("digest", ""))
        text = self.request.headers.get("Content-Range", "")
        if self.request.method not in ("PATCH", "PUT") or not text:
            return
        match = _RANGE.fullmatch(text)
        at = self._upload.offset if self._upload else 0
        length = self.request.headers.get("Content-Length", "")
        is_next = match is not None and int(match[1]) == at and int(match[2]) >= int(match[1])
        if is_next and match is not None and length.isdigit():
            is_next = int(match[2]) - int(match[1]) + 1 == int(length)
        if not is_next:
            self._release()
            self._upload = None
            raise RegistryError(
                416, "BLOB_UPLOAD_INVALID", f"the next byte is {at}", content_range=f"0-{at - 1}"
            )

    def get(self, name: str, upload: str) -> None:
        """Tell how far it is."""
        del name, upload
        self.answer_progress(204)

    head = get

    def patch(self, name: str, upload: str) -> None:
        """Answer to a chunk."""
        del name, upload
        self.answer_progress(202)

    def put(self, name: str, upload: str) -> None:
        """Make it a blob."""
        del name, upload
        self.complete(self.get_query_argument("digest", ""))

    def delete(self, name: str, upload: str) -> None:
        """Throw it away."""
        del name
        self.hub.store.cancel_upload(upload)
        self.done(204)


class Referrers(StoreHandler):
    """end-12a, end-12b: the manifests that are about another one."""

    def get(self, name: str, digest: str) -> None:
        """Give an index of them; none is an empty one."""
        wanted = self.get_query_argument("artifactType", "")
        store = self.hub.store
        found = []
        for row in store.records.referrers(name, self.digest(digest)):
            known = store.manifest(name, row.digest)
            if known is None:
                continue
            document = parse_document(known[1], row.media_type)
            if wanted and document.artifact_type != wanted:
                continue
            plain = Descriptor(
                media_type=row.media_type,
                digest=row.digest,
                size=row.size,
                annotations=document.annotations or None,
            )
            shape = msgspec.to_builtins(plain)
            found.append(shape | {"artifactType": document.artifact_type})
        if wanted:
            self.set_header("OCI-Filters-Applied", "artifactType")
        index = msgspec.to_builtins(Index(schema_version=2, media_type=OCI_INDEX, manifests=()))
        self.set_header("Content-Type", OCI_INDEX)
        self.finish(msgspec.json.encode(index | {"manifests": found}))

    head = get
