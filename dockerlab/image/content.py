"""The content store: verified blobs by digest, and downloads in progress.

A blob is written as an *ingest* and becomes visible by *commit*, never before its size and digest
were found right. The folder is an OCI image layout's (image-spec/image-layout.md) apart from the
index, which the engine's database replaces. Not here: which blobs an image needs, and when one
may go.
"""

import fcntl
import hashlib
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dockerlab.errors import BadDigest, Conflict, InvalidArgument, NotFound
from dockerlab.oci.digest import Digest, digest_of, hex_of, parse_digest

__all__ = ["ContentStore", "Ingest", "NewBlob"]

_READ_BYTES = 1 << 20
_WAIT_S = 0.05
_BLOB_MODE = 0o600
# Begins the file name of a blob whose digest is not known before its end.
_NEW = "new-"


class Ingest:
    """A blob being written. `offset` bytes of it are there; made by `ContentStore.ingest`.

    Attributes
    ----------
    offset : int
        Where the next `write` goes; more than 0 at the start when a download is resumed.
    resumed : int
        What `offset` was at the start.
    """

    def __init__(self, fd: int, partial: Path, final: Path, digest: Digest, size: int) -> None:
        self._fd = fd
        self._partial = partial
        self._final = final
        self._digest = digest
        self._size = size
        self._hash = hashlib.sha256()
        self.offset = 0
        self._take_over()
        self.resumed = self.offset

    def written(self) -> Iterator[bytes]:
        """Yield the bytes that are there, from the first; for whoever reads along."""
        at = 0
        while piece := os.pread(self._fd, _READ_BYTES, at):
            yield piece
            at += len(piece)

    def write(self, data: bytes) -> None:
        """Append.

        Raises
        ------
        BadDigest
            More bytes than the descriptor promised.
        """
        if self.offset + len(data) > self._size:
            raise BadDigest(
                f"{self._digest} is longer than the {self._size} bytes of its descriptor"
            )
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self.offset += len(data)

    def restart(self) -> None:
        """Throw away what was written and begin at the first byte."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self.offset = self.resumed = 0

    def commit(self) -> None:
        """Make the blob visible under its digest.

        Raises
        ------
        BadDigest
            Its size or digest is wrong. What was written is thrown away: it cannot be resumed.

        Notes
        -----
        Atomic and idempotent. Durable only behind the caller's next syncfs(2): a pull flushes once.
        """
        found = "sha256:" + self._hash.hexdigest()
        if self.offset != self._size:
            self.discard()
            raise BadDigest(f"{self._digest} ended after {self.offset} of {self._size} bytes")
        if found != self._digest:
            self.discard()
            raise BadDigest(f"{self._digest} arrived with the digest {found}")
        self._partial.replace(self._final)

    def discard(self) -> None:
        """Throw away what was written, and the place for it."""
        self._partial.unlink(missing_ok=True)

    def _take_over(self) -> None:
        """Read an earlier attempt's bytes; more than there can be are not worth a look."""
        if os.fstat(self._fd).st_size > self._size:
            os.ftruncate(self._fd, 0)
        while piece := os.read(self._fd, _READ_BYTES):
            self._hash.update(piece)
            self.offset += len(piece)


class NewBlob:
    """A blob that is being made, whose digest is known at its end; from `ContentStore.new`."""

    def __init__(self, fd: int, partial: Path, blobs: Path) -> None:
        self._fd = fd
        self._partial = partial
        self._blobs = blobs
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append."""
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self.size += len(data)

    def commit(self) -> Digest:
        """Make the blob visible under the digest that it turned out to have, and return that."""
        digest = Digest("sha256:" + self._hash.hexdigest())
        self._partial.replace(self._blobs / hex_of(digest))
        return digest


class ContentStore:
    """Blobs in `root`/blobs/sha256, partial downloads in `root`/ingest, named by digest.

    Threads and processes may share one.
    """

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._ingest = root / "ingest"
        self._blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ingest.mkdir(parents=True, exist_ok=True, mode=0o700)
        layout = root / "oci-layout"
        if not layout.exists():
            layout.write_text('{"imageLayoutVersion":"1.0.0"}')

    def path(self, digest: Digest) -> Path:
        """Return where the blob is or would be."""
        return self._blobs / hex_of(digest)

    def has(self, digest: Digest) -> bool:
        """Tell whether the whole blob is there."""
        return self.path(digest).exists()

    def read(self, digest: Digest, limit: int) -> bytes:
        """Return a small blob, checked once more.

        Raises
        ------
        NotFound
            It is not there.
        InvalidArgument
            It is larger than `limit` bytes.
        BadDigest
            The disk gave back other bytes than were written.
        """
        try:
            with self.path(digest).open("rb") as file:
                data = file.read(limit + 1)
        except FileNotFoundError as exc:
            raise NotFound(f"no such blob: {digest}") from exc
        if len(data) > limit:
            raise InvalidArgument(f"{digest} is larger than {limit} bytes")
        if digest_of(data) != digest:
            raise BadDigest(f"{digest} is damaged on disk: pull the image again")
        return data

    @contextmanager
    def ingest(
        self, digest: Digest, size: int, *, cancelled: threading.Event | None = None
    ) -> Iterator[Ingest]:
        """Begin or resume a blob.

        Parameters
        ----------
        digest : Digest
            What it must have at `commit`.
        size : int
            Bytes, from the descriptor.
        cancelled : threading.Event
            Gives up waiting.

        Raises
        ------
        Conflict
            Somebody else writes this blob and `cancelled` was set while waiting for the end of
            that.

        Notes
        -----
        One writer a blob at a time, across processes. Left without a commit, the bytes stay for the
        next attempt. Whoever waited finds the blob by `has`: ask again inside the block.
        """
        path = self._ingest / hex_of(digest)
        with _locked(path, cancelled or threading.Event()) as fd:
            ingest = Ingest(fd, path, self.path(digest), digest, size)
            try:
                yield ingest
            finally:
                # An empty file would be found as a download in progress.
                if not ingest.offset:
                    ingest.discard()

    @contextmanager
    def new(self) -> Iterator[NewBlob]:
        """Begin a blob whose digest nobody knows yet; without a commit its bytes are thrown away.

        Notes
        -----
        Durable only behind the caller's next syncfs(2), as `Ingest.commit`.
        """
        path = self._ingest / f"{_NEW}{uuid.uuid4().hex}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(path, flags, _BLOB_MODE)
        try:
            yield NewBlob(fd, path, self._blobs)
        finally:
            os.close(fd)
            path.unlink(missing_ok=True)

    def put(self, data: bytes) -> Digest:
        """Store a small blob that is in memory; atomic and idempotent."""
        digest = digest_of(data)
        if self.has(digest):
            return digest
        with self.ingest(digest, len(data)) as ingest:
            if self.has(digest):
                ingest.discard()
                return digest
            ingest.restart()
            ingest.write(data)
            ingest.commit()
        return digest

    def delete(self, digest: Digest) -> None:
        """Delete a blob; no error when it is not there."""
        self.path(digest).unlink(missing_ok=True)

    def digests(self) -> Iterator[Digest]:
        """Yield the digest of every blob, in no order."""
        with suppress(FileNotFoundError):
            for path in self._blobs.iterdir():
                yield parse_digest(f"sha256:{path.name}")

    def partials(self) -> dict[Digest, int]:
        """Return the downloads that can be resumed, with the bytes that are there."""
        found = {}
        for path in self._ingest.iterdir():
            if path.name.startswith(_NEW):
                continue
            with suppress(FileNotFoundError):
                found[parse_digest(f"sha256:{path.name}")] = path.stat().st_size
        return found

    def discard_partials(self) -> None:
        """Throw away every download in progress; only while nobody pulls."""
        for path in self._ingest.iterdir():
            path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, cancelled: threading.Event) -> Iterator[int]:
    """Open `path` for reading and writing, alone."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _BLOB_MODE)
        try:
            if _try_lock(fd) and _is_at(fd, path):
                yield fd
                return
        finally:
            os.close(fd)
        if cancelled.wait(_WAIT_S):
            raise Conflict(f"{path.name} is being written by another pull")


def _is_at(fd: int, path: Path) -> bool:
    """Tell whether the writer before has left the file that is open here in its place."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
