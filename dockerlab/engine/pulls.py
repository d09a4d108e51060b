"""Pulling an image into the store: from the reference to the transaction.

Fetching and unpacking are `image.registry.pull` in a thread. Here is the order in which its result
becomes an image: data on disk (`syncfs`), folders in place, one transaction. Whatever is
interrupted, the store is as before or as after.
"""

import asyncio
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from dockerlab.config import Settings
from dockerlab.engine.database import ImageRow
from dockerlab.engine.events import Events
from dockerlab.engine.image import Image, PullProgress
from dockerlab.engine.images import Images
from dockerlab.engine.registries import Registries
from dockerlab.engine.registry import Credential
from dockerlab.engine.stopwatches import Stopwatches
from dockerlab.errors import (
    BadDigest,
    DockerlabError,
    EngineFailure,
    ImageNotFound,
    InvalidArgument,
    ManifestNotFound,
    RegistryUnreachable,
    Unsupported,
)
from dockerlab.image.content import ContentStore
from dockerlab.image.layers import LayerStore
from dockerlab.image.registry.mirrors import HUB_REGISTRY
from dockerlab.image.registry.pull import Fresh, Pulled, pull
from dockerlab.image.registry.session import Session
from dockerlab.image.registry.unpacking import Unpacker
from dockerlab.kernel.syscalls import syncfs
from dockerlab.oci.digest import Digest
from dockerlab.oci.platform import Platform, host_platform, parse_platform
from dockerlab.oci.reference import DOCKER_HUB, Reference, parse_reference
from dockerlab.phases import Phase, Stopwatch

__all__ = ["Pulls", "Store"]

# A pull waits for the network nearly all the time; each has downloads of its own.
_MAX_PULLS = 16
# The built-in images that may stand in for those of the same name on Docker Hub.
_BUILT_IN = frozenset({"library/hello-world"})
_TOOLS_HINT = "hub.localhost/tools has a shell and the usual tools, made of this machine's programs"

# Errors after which the same bytes would only be refused again.
_USELESS = (BadDigest, InvalidArgument, Unsupported, EngineFailure)

Emit = Callable[[PullProgress], None]


@dataclass(frozen=True, slots=True)
class Store:
    """Where the bytes of images go, and who unpacks them."""

    content: ContentStore
    layers: LayerStore
    unpacker: Unpacker


class Pulls:
    """Runs pulls, one at a time for a reference."""

    def __init__(
        self,
        settings: Settings,
        images: Images,
        events: Events,
        store: Store,
        registries: Registries,
    ) -> None:
        self._settings = settings
        self._images = images
        self._events = events
        self._store = store
        self._registries = registries
        self._threads = ThreadPoolExecutor(_MAX_PULLS, thread_name_prefix="pull")
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._stopwatches = Stopwatches()
        self.running = 0

    async def pull(
        self, text: str, *, platform: str, emit: Emit, credential: Credential | None = None
    ) -> None:
        """Pull what `text` refers to; see `daemon.backend.Pulls.pull`."""
        reference = parse_reference(text)
        is_new = await self._pull_one(reference, platform, emit, credential)
        emit(_status(reference.familiar, is_new=is_new))

    async def pull_all(
        self, text: str, *, platform: str, emit: Emit, credential: Credential | None = None
    ) -> None:
        """Pull every tag of a repository; see `daemon.backend.Pulls.pull_all`."""
        reference = parse_reference(text)
        session = await self._registries.session(reference, credential)
        stop = threading.Event()
        try:
            tags = await asyncio.to_thread(session.repository(reference, stop).tags)
        finally:
            stop.set()
            session.close()
        if not tags:
            raise ManifestNotFound(f"{reference.familiar_name} has no tags")
        is_new = False
        for tag in tags:
            each = msgspec.structs.replace(reference, tag=tag)
            is_new |= await self._pull_one(each, platform, emit, credential)
        emit(_status(reference.familiar_name, is_new=is_new))

    async def _pull_one(
        self, reference: Reference, platform: str, emit: Emit, credential: Credential | None
    ) -> bool:
        """Pull one image; tell whether it is another than before."""
        wanted = parse_platform(platform) if platform else host_platform()
        self.running += 1
        try:
            async with self._locks[str(reference)]:
                stopwatch = self._stopwatches.begin(str(reference))
                before = self._known(reference)
                session = await self._registries.session(reference, credential)
                try:
                    digest, image = await self._pull(reference, wanted, session, emit, stopwatch)
                finally:
                    session.close()
        finally:
            self.running -= 1
        emit(PullProgress(status=f"Digest: {digest}"))
        self._events.publish("image", "pull", reference.familiar, {"name": reference.familiar_name})
        return before is None or before.id != image.id

    def phases(self, name: str) -> list[Phase]:
        """Return the phases of the last pull of a reference; empty when there was none."""
        return self._stopwatches.phases(str(parse_reference(name)))

    def close(self) -> None:
        """End the threads when their pulls are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _pull(
        self,
        reference: Reference,
        platform: Platform,
        session: Session,
        emit: Emit,
        stopwatch: Stopwatch,
    ) -> tuple[str, Image]:
        try:
            pulled = await self._fetch(reference, platform, session, emit, stopwatch)
            return pulled.repo_digest, await self._keep(reference, reference, pulled, "", stopwatch)
        except RegistryUnreachable as exc:
            stand_in = self._stand_in(reference)
            if stand_in is None:
                if reference.registry == DOCKER_HUB:
                    exc.hint = "; ".join(filter(None, (exc.hint, _TOOLS_HINT)))
                raise
            emit(PullProgress(status=_announcement(reference, exc)))
            hub = await self._registries.session(stand_in, None)
            try:
                pulled = await self._fetch(stand_in, platform, hub, emit, stopwatch)
            finally:
                hub.close()
            image = await self._keep(reference, stand_in, pulled, "hub", stopwatch)
            return pulled.repo_digest, image

    def _stand_in(self, reference: Reference) -> Reference | None:
        """Return the built-in image in place of one of Docker Hub's; never for a digest."""
        if (
            self._settings.fallback
            and reference.registry == DOCKER_HUB
            and reference.repository in _BUILT_IN
            and reference.tag == "latest"
            and reference.digest is None
        ):
            return Reference(
                registry=HUB_REGISTRY, repository=reference.repository, tag=reference.tag
            )
        return None

    async def _fetch(
        self,
        reference: Reference,
        platform: Platform,
        session: Session,
        emit: Emit,
        stopwatch: Stopwatch,
    ) -> Pulled:
        loop = asyncio.get_running_loop()
        cancelled, fresh = threading.Event(), Fresh()

        def emit_here(progress: PullProgress) -> None:
            """Bring progress from the pull's threads to the loop."""
            loop.call_soon_threadsafe(emit, progress)

        def work() -> Pulled:
            """Pull, in a thread."""
            return pull(
                reference,
                platform,
                session=session,
                content=self._store.content,
                layers=self._store.layers,
                unpacker=self._store.unpacker,
                emit=emit_here,
                stopwatch=stopwatch,
                cancelled=cancelled,
                fresh=fresh,
            )

        future = loop.run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            cancelled.set()
            # The thread tidies up what it staged; the reference stays locked until it has.
            await asyncio.wait({future})
            raise
        except DockerlabError as exc:
            # What is there of a layer may be resumed, unless it would only be refused again.
            useless = fresh.layers if isinstance(exc, _USELESS) else set[Digest]()
            await self._discard(fresh.documents | useless)
            raise

    async def _discard(self, fresh: set[Digest]) -> None:
        """Give back what an image that did not become one has left.

        While others pull it may be theirs as well: then it stays until the next start.
        """
        if self.running > 1:
            return
        async with self._images.lock:
            for digest in fresh - self._images.named_blobs():
                await asyncio.to_thread(self._store.content.discard, digest)

    async def _keep(
        self,
        reference: Reference,
        source: Reference,
        pulled: Pulled,
        source_label: str,
        stopwatch: Stopwatch,
    ) -> Image:
        """Make what was fetched an image under `reference`."""
        begin = time.monotonic()
        async with self._images.lock:
            try:
                await asyncio.to_thread(self._place_layers, pulled)
            except OSError as exc:
                self._abandon(pulled)
                raise EngineFailure(
                    f"cannot keep the layers of {reference.familiar}: {exc}"
                ) from exc
            row = ImageRow(
                id=pulled.config_digest,
                manifest=pulled.manifest.digest,
                source=source_label,
                pulled_at=datetime.now(UTC).isoformat(),
                layers=tuple((layer.diff_id, layer.size_bytes) for layer in pulled.layers),
                blobs=frozenset(
                    {
                        pulled.config_digest,
                        pulled.manifest.digest,
                        pulled.repo_digest,
                        *(layer.descriptor.digest for layer in pulled.layers),
                    }
                ),
            )
            image = self._images.add(row, _names(reference, source, pulled))
        stopwatch.add("commit", begin, time.monotonic())
        return image

    def _place_layers(self, pulled: Pulled) -> None:
        staged = [
            (each.diff_id, each.staging, each.size_bytes)
            for each in pulled.layers
            if each.staging is not None
        ]
        if staged:
            folder = os.open(staged[0][1], os.O_RDONLY | os.O_DIRECTORY)
            try:
                syncfs(folder)
            finally:
                os.close(folder)
        for diff_id, staging, size_bytes in staged:
            self._store.layers.commit(diff_id, staging, size_bytes)

    def _abandon(self, pulled: Pulled) -> None:
        for layer in pulled.layers:
            if layer.staging is not None:
                self._store.layers.abandon(layer.staging)

    def _known(self, reference: Reference) -> Image | None:
        try:
            return self._images.get(str(reference))
        except ImageNotFound:
            return None


def _names(reference: Reference, source: Reference, pulled: Pulled) -> list[Reference]:
    """Return the references that the image gets."""
    if source != reference:
        # Docker Hub never promised the digest of a built-in image.
        return [reference]
    by_digest = msgspec.structs.replace(reference, tag="", digest=pulled.repo_digest)
    return [by_digest] if reference.digest else [reference, by_digest]


def _status(what: str, *, is_new: bool) -> PullProgress:
    words = "Downloaded newer image for" if is_new else "Image is up to date for"
    return PullProgress(status=f"Status: {words} {what}")


def _announcement(reference: Reference, reason: RegistryUnreachable) -> str:
    return (
        f"Docker Hub cannot be reached ({reason.message}): "
        f"using dockerlab's built-in {reference.familiar_name}"
    )
