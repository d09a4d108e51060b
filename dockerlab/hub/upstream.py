"""What the hub fetches from another registry when it is first asked for, and keeps.

Each blob is fetched once, however many ask for it at the same time: they read along while it
arrives. What it costs to keep them is bounded. Credentials are for the upstream alone.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator

from dockerlab.errors import DockerlabError, NotFound, Unavailable
from dockerlab.hub.documents import parse_document
from dockerlab.hub.records import ManifestRow
from dockerlab.hub.store import HubStore
from dockerlab.image.content import Ingest
from dockerlab.image.registry.credential import Credential
from dockerlab.image.registry.mirrors import RegistrySettings
from dockerlab.image.registry.session import FetchedManifest, Repository, Session
from dockerlab.image.registry.transport import MAX_ATTEMPTS, Broken, pause, wait
from dockerlab.oci.descriptor import Descriptor
from dockerlab.oci.digest import Digest
from dockerlab.oci.reference import Reference

__all__ = ["Fetch", "Upstream"]

_log = logging.getLogger("dockerlab.hub")

_PIECE_BYTES = 256 << 10
_MAX_FETCHES = 16


class Fetch:
    """One blob that is arriving; any number read along.

    Attributes
    ----------
    size : int
        Of the whole blob, as its manifest says.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._offset = 0
        self._fd = -1
        self._error: BaseException | None = None
        self._is_done = False
        self._changed = asyncio.Event()

    async def pieces(self, begin: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `begin` to `end` as they come.

        Raises
        ------
        DockerlabError
            They do not come.
        """
        while self._fd < 0 and not self._is_done:
            await self._wait()
        self._check()
        if self._fd < 0:
            raise Unavailable("the blob has just arrived: ask again")
        fd = os.dup(self._fd)
        try:
            while begin < end:
                while self._offset <= begin and not self._is_done:
                    await self._wait()
                self._check()
                piece = os.pread(fd, min(_PIECE_BYTES, end - begin), begin)
                piece = piece[: max(0, self._offset - begin)]
                if not piece:
                    raise Unavailable("the blob is shorter than its manifest says")
                begin += len(piece)
                yield piece
        finally:
            os.close(fd)

    def note(self, offset: int, fd: int = -1) -> None:
        """Note how far it is; `fd` is where it can be read, and belongs to this then."""
        self._offset = offset
        self._fd = fd if fd >= 0 else self._fd
        self._wake()

    def finish(self, error: BaseException | None) -> None:
        """Note the end; those who read along have descriptors of their own."""
        self._error = error
        self._is_done = True
        self._wake()

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self) -> None:
        await self._changed.wait()


class Upstream:
    """Fetches from one registry into a store; used on one loop.

    Parameters
    ----------
    store : HubStore
        Where everything is kept.
    registry : str
        Its name in references.
    settings : RegistrySettings
        How it is reached.
    credential : Credential, optional
        What it is shown.
    cache_bytes : int
        What fetched blobs may take; the one that was just fetched stays in any case.
    tag_age_s : float
        How long a tag is believed without asking again.
    """

    def __init__(
        self,
        store: HubStore,
        registry: str,
        settings: RegistrySettings,
        *,
        credential: Credential | None = None,
        cache_bytes: int,
        tag_age_s: float,
    ) -> None:
        self._store = store
        self._registry = registry
        self._stop = threading.Event()
        known = {registry: credential} if credential else {}
        self._session = Session(settings, credentials=known.get)
        self._cache_bytes = cache_bytes
        self._tag_age_s = tag_age_s
        self._manifests: dict[tuple[str, str], asyncio.Future[ManifestRow | None]] = {}
        self._fetches: dict[Digest, Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_MAX_FETCHES)

    async def close(self) -> None:
        """End what is being fetched."""
        self._stop.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._session.close()

    def is_fresh(self, repository: str, tag: str) -> bool:
        """Tell whether a tag need not be asked for: it was pushed here, or just fetched."""
        known = self._store.records.tag(repository, tag)
        return known is not None and (not known[2] or known[1] < self._tag_age_s)

    async def manifest(self, repository: str, reference: str) -> ManifestRow | None:
        """Fetch a manifest by tag or digest into the store; None when there is none.

        Raises
        ------
        DockerlabError
            The upstream cannot be asked, or gives nonsense.
        """
        key = (repository, reference)
        if key not in self._manifests:
            asking = asyncio.ensure_future(self._fetch_manifest(repository, reference))
            self._manifests[key] = asking
            asking.add_done_callback(lambda _: self._manifests.pop(key))
        return await asyncio.shield(self._manifests[key])

    async def _fetch_manifest(self, repository: str, reference: str) -> ManifestRow | None:
        def ask() -> FetchedManifest:
            """Ask, in a thread."""
            return self._repository(repository).manifest(reference)

        try:
            fetched = await asyncio.to_thread(ask)
        except NotFound:
            return None
        document = parse_document(fetched.data, fetched.media_type)
        tag = "" if reference.startswith("sha256:") else reference
        self._store.keep_manifest(repository, tag, fetched.data, document, is_mirrored=True)
        blobs = [(blob.digest, blob.size) for blob in document.blobs]
        self._store.records.add_links(repository, blobs, is_mirrored=True)
        return ManifestRow(fetched.digest, document.media_type, len(fetched.data))

    def fetch(self, repository: str, digest: Digest, size: int) -> Fetch:
        """Return the arrival of a blob that the store does not have; begun if need be."""
        if digest not in self._fetches:
            fetch = self._fetches[digest] = Fetch(size)
            task = asyncio.create_task(self._run(repository, digest, fetch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._fetches[digest]

    async def _run(self, repository: str, digest: Digest, fetch: Fetch) -> None:
        error: BaseException | None = None
        try:
            async with self._slots:
                await asyncio.to_thread(
                    self._download, repository, digest, fetch, asyncio.get_running_loop()
                )
            self._store.records.note_use(digest, fetch.size)
            self._store.trim(max(self._cache_bytes, fetch.size))
        except (DockerlabError, Broken, OSError) as exc:
            _log.warning("cannot fetch %s of %s: %s", digest, repository, exc)
            error = exc if isinstance(exc, DockerlabError) else Unavailable(str(exc))
        finally:
            del self._fetches[digest]
            fetch.finish(error)
            # Those who wait have their turn, and take descriptors of their own, before this.
            asyncio.get_running_loop().call_later(1.0, fetch.close)

    def _download(
        self, repository: str, digest: Digest, fetch: Fetch, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Fetch, in a thread."""
        descriptor = Descriptor(media_type="", digest=digest, size=fetch.size)
        content = self._store.content
        with content.ingest(digest, fetch.size, cancelled=self._stop) as ingest:
            if content.has(digest):
                ingest.discard()
                raise Unavailable("the blob has just arrived: ask again")
            loop.call_soon_threadsafe(fetch.note, ingest.offset, ingest.reader())
            source = self._repository(repository)
            attempt = 0
            while ingest.offset < fetch.size:
                before = ingest.offset
                try:
                    self._stream(source, descriptor, ingest, fetch, loop)
                except Broken:
                    _log.info("%s broke off after %d bytes", digest, ingest.offset)
                if ingest.offset == fetch.size:
                    break
                attempt = 1 if ingest.offset > before else attempt + 1
                if attempt == MAX_ATTEMPTS:
                    raise Unavailable(f"the download of {digest} broke off")
                wait(self._stop, pause(attempt))
            ingest.commit()

    def _stream(
        self,
        source: Repository,
        descriptor: Descriptor,
        ingest: Ingest,
        fetch: Fetch,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        with source.blob(descriptor, ingest.offset) as stream:
            for piece in stream:
                wait(self._stop, 0)
                ingest.write(piece)
                loop.call_soon_threadsafe(fetch.note, ingest.offset)

    def _repository(self, repository: str) -> Repository:
        reference = Reference(registry=self._registry, repository=repository, tag="latest")
        return self._session.repository(reference, self._stop)
