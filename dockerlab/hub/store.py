"""The hub's own images: what is pushed to it, and what it keeps of an upstream.

Blobs lie in a content store as an engine's do, each once, whichever repositories have it. Nothing
here speaks HTTP.
"""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dockerlab.errors import BadDigest, Conflict, Forbidden, InvalidArgument, NotFound
from dockerlab.hub.documents import Document, parse_document
from dockerlab.hub.records import ManifestRow, Records
from dockerlab.image.content import ContentStore, NewBlob
from dockerlab.oci.digest import Digest, digest_of
from dockerlab.oci.manifest import MAX_MANIFEST_BYTES

__all__ = ["MAX_BLOB_BYTES", "HubStore", "Upload"]

MAX_BLOB_BYTES = 20 << 30

_MAX_UPLOADS = 256
_UPLOAD_LIFE_S = 3600.0


@dataclass(slots=True)
class Upload:
    """A blob on its way in. `offset` bytes are there."""

    repository: str
    _blob: NewBlob
    _undo: ExitStack
    _limit: int
    touched_s: float = field(default_factory=time.monotonic)
    is_busy: bool = False

    @property
    def offset(self) -> int:
        """Where the next byte goes."""
        return self._blob.size

    async def write(self, data: bytes) -> None:
        """Append, in a thread: hashing takes a while.

        Raises
        ------
        Forbidden
            It is larger than the hub takes.
        """
        self.touched_s = time.monotonic()
        if self.offset + len(data) > self._limit:
            raise Forbidden(f"a blob has at most {self._limit} bytes here")
        await asyncio.to_thread(self._blob.write, data)

    def commit(self, digest: Digest) -> int:
        """Make the blob visible, and return its size.

        Raises
        ------
        BadDigest
            It turned out to be another one; it is gone then.
        """
        found = self._blob.digest
        if found != digest:
            self.discard()
            raise BadDigest(f"the blob arrived with the digest {found}, not {digest}")
        size = self._blob.size
        self._blob.commit()
        self._undo.close()
        return size

    def discard(self) -> None:
        """Throw it away."""
        self._undo.close()


class HubStore:
    """Repositories over a content store.

    Parameters
    ----------
    root : Path
        Its folder.
    max_blob_bytes : int
        What is refused as too large.
    """

    def __init__(self, root: Path, *, max_blob_bytes: int = MAX_BLOB_BYTES) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.content = ContentStore(root / "content")
        self.records = Records(root / "hub.sqlite")
        self._max_blob_bytes = max_blob_bytes
        self._uploads: dict[str, Upload] = {}
        self.content.discard_partials()
        self._collect()

    def close(self) -> None:
        """Throw away uploads in progress and close the files."""
        for upload in self._uploads.values():
            upload.discard()
        self._uploads.clear()
        self.records.close()

    # Manifests

    def manifest(self, repository: str, digest: Digest) -> tuple[ManifestRow, bytes] | None:
        """Return a manifest with its bytes."""
        row = self.records.manifest(repository, digest)
        if row is None:
            return None
        try:
            return row, self.content.read(digest, MAX_MANIFEST_BYTES)
        except NotFound:
            return None

    def put_manifest(
        self, repository: str, reference: str, data: bytes, media_type: str
    ) -> tuple[Digest, Document]:
        """Take a manifest under a tag or its digest.

        Raises
        ------
        InvalidArgument
            It is none.
        BadDigest
            It does not have the digest that it is put under.
        NotFound
            A blob or a manifest that it names is not in the repository.
        """
        document = parse_document(data, media_type)
        digest = digest_of(data)
        is_by_digest = reference.startswith("sha256:")
        if is_by_digest and reference != digest:
            raise BadDigest(f"the manifest has the digest {digest}, not {reference}")
        for blob in document.blobs:
            size = self.records.link(repository, blob.digest)
            if size is None or not self.content.has(blob.digest):
                raise NotFound(f'the blob {blob.digest} is not in "{repository}"')
            if size != blob.size:
                raise InvalidArgument(f"{blob.digest} has {size} bytes, not {blob.size}")
        for inner in document.manifests:
            if self.records.manifest(repository, inner.digest) is None:
                raise NotFound(f'the manifest {inner.digest} is not in "{repository}"')
        tag = "" if is_by_digest else reference
        self.keep_manifest(repository, tag, data, document, is_mirrored=False)
        return digest, document

    def keep_manifest(
        self, repository: str, tag: str, data: bytes, document: Document, *, is_mirrored: bool
    ) -> None:
        """Store a manifest that was checked, and point a tag at it; '' for none."""
        digest = self.content.put(data)
        row = ManifestRow(digest, document.media_type, len(data))
        self.records.add_manifest(repository, row, document.subject, is_mirrored=is_mirrored)
        if tag:
            self.records.set_tag(repository, tag, digest, is_mirrored=is_mirrored)

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """Delete a manifest with its tags; tell whether there was one."""
        if not self.records.delete_manifest(repository, digest):
            return False
        self.drop(digest)
        return True

    # Blobs

    def blob(self, repository: str, digest: Digest) -> Path | None:
        """Return where a repository's blob is."""
        if self.records.link(repository, digest) is None or not self.content.has(digest):
            return None
        return self.content.path(digest)

    def mount(self, repository: str, digest: Digest, source: str) -> bool:
        """Make another repository's blob this one's too; tell whether it has it."""
        size = self.records.link(source, digest)
        if size is None or not self.content.has(digest):
            return False
        self.records.add_links(repository, [(digest, size)], is_mirrored=False)
        return True

    def delete_blob(self, repository: str, digest: Digest) -> bool:
        """Take a blob from a repository; tell whether it had it."""
        if not self.records.delete_link(repository, digest):
            return False
        self.drop(digest)
        return True

    def drop(self, digest: Digest) -> None:
        """Delete a blob's bytes, unless a repository has it."""
        if not self.records.is_needed(digest):
            self.content.delete(digest)
            self.records.forget_use(digest)

    def trim(self, limit_bytes: int) -> None:
        """Give up mirrored blobs until the others have at most so many bytes."""
        for digest in self.records.surplus(limit_bytes):
            self.content.delete(digest)
            self.records.forget_use(digest)

    # Uploads

    def begin_upload(self, repository: str) -> str:
        """Begin an upload; return its name, which nobody can guess.

        Raises
        ------
        Conflict
            There are too many.
        """
        self._expire()
        if len(self._uploads) >= _MAX_UPLOADS:
            raise Conflict(f"there are {_MAX_UPLOADS} uploads in progress already")
        undo = ExitStack()
        blob = undo.enter_context(self.content.new())
        name = secrets.token_hex(16)
        self._uploads[name] = Upload(repository, blob, undo, self._max_blob_bytes)
        return name

    def upload(self, repository: str, name: str) -> Upload | None:
        """Return an upload in progress."""
        found = self._uploads.get(name)
        return found if found is not None and found.repository == repository else None

    def finish_upload(self, name: str, digest: Digest) -> None:
        """Make what was uploaded a blob of its repository.

        Raises
        ------
        BadDigest
            It is another one.
        """
        upload = self._uploads.pop(name)
        size = upload.commit(digest)
        self.records.add_links(upload.repository, [(digest, size)], is_mirrored=False)

    def cancel_upload(self, name: str) -> None:
        """Throw an upload away; no error when it is gone."""
        if (upload := self._uploads.pop(name, None)) is not None:
            upload.discard()

    def _expire(self) -> None:
        now = time.monotonic()
        old = [
            name
            for name, upload in self._uploads.items()
            if not upload.is_busy and now - upload.touched_s > _UPLOAD_LIFE_S
        ]
        for name in old:
            self.cancel_upload(name)

    def _collect(self) -> None:
        """Delete what no manifest needs: blobs of pushes that never came to one."""
        for repository in list(self.records.repositories_with_links()):
            needed = set(self._needed(repository))
            for digest in self.records.links(repository):
                if digest not in needed:
                    self.records.delete_link(repository, digest)
        for digest in list(self.content.digests()):
            self.drop(digest)

    def _needed(self, repository: str) -> Iterator[Digest]:
        for row in self.records.manifests(repository):
            if self.content.has(row.digest):
                data = self.content.read(row.digest, MAX_MANIFEST_BYTES)
                yield from (blob.digest for blob in parse_document(data, row.media_type).blobs)
