"""Pushing images to registries, and searching there: from a name to the registry's answers.

Uploading is `image.registry.push` in a thread. Here is what is pushed: which tags, whose blobs, and
where in the same registry they may be already.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dockerlab.engine.events import Events
from dockerlab.engine.image import Image, PullProgress
from dockerlab.engine.images import Images
from dockerlab.engine.portable import make_portable
from dockerlab.engine.registries import Registries
from dockerlab.engine.registry import Credential, SearchResult
from dockerlab.errors import EngineFailure, InvalidArgument, NotFound
from dockerlab.image.content import ContentStore
from dockerlab.image.registry.push import PushContext, push_image
from dockerlab.image.registry.reporter import Reporter
from dockerlab.image.registry.session import Session
from dockerlab.oci.digest import Digest
from dockerlab.oci.reference import Reference, parse_reference

__all__ = ["Pushes"]

_MAX_SOURCES = 3

Emit = Callable[[PullProgress], None]


@dataclass(frozen=True, slots=True)
class Pushes:
    """Brings images to registries."""

    images: Images
    content: ContentStore
    registries: Registries
    events: Events

    async def push(
        self, name: str, tag: str, *, emit: Emit, credential: Credential | None = None
    ) -> None:
        """Push a tag of a repository, or without one all its tags; see `daemon.backend.Pushes`."""
        reference = parse_reference(f"{name}:{tag}" if tag else name)
        if reference.digest:
            raise InvalidArgument("cannot push a digest reference: name a tag")
        emit(PullProgress(status=f"The push refers to repository [{reference.name}]"))
        known = self.images.tags_of(reference.name)
        if not known:
            raise NotFound(
                f"An image does not exist locally with the tag: {reference.familiar_name}"
            )
        if tag and reference not in known:
            raise NotFound(f"tag does not exist: {reference.familiar}")
        session = await self.registries.session(reference, credential)
        try:
            for each in [reference] if tag else known:
                await self._push(each, session, emit)
        finally:
            session.close()

    async def search(
        self, term: str, *, limit: int, credential: Credential | None = None
    ) -> list[SearchResult]:
        """Return what a registry has for a term; see `daemon.backend.Pushes`."""
        return await self.registries.search(term, limit, credential)

    async def _push(self, reference: Reference, session: Session, emit: Emit) -> None:
        image = self.images.get(str(reference))
        portable = make_portable(image, [reference], self.images, self.content)
        sources = self._sources(reference, image)
        loop = asyncio.get_running_loop()
        stop = threading.Event()

        def emit_here(progress: PullProgress) -> None:
            """Bring progress from the push's threads to the loop."""
            loop.call_soon_threadsafe(emit, progress)

        def work() -> tuple[Digest, int]:
            """Push, in a thread."""
            names = sorted({name for listed in sources.values() for name in listed})
            target = session.target(reference, names, stop)
            target.connect()
            context = PushContext(
                target=target,
                content=self.content,
                sources=sources,
                reporter=Reporter(emit_here),
                stop=stop,
            )
            return push_image(portable, image.config.rootfs.diff_ids, reference.tag, context)

        future = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            digest, size = await asyncio.shield(future)
        except OSError as exc:
            raise EngineFailure(f'cannot push "{reference.familiar}": {exc}') from exc
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({future})
            raise
        # What the threads reported before is on the loop already.
        await asyncio.sleep(0)
        emit(PullProgress(status=f"{reference.tag}: digest: {digest} size: {size}"))
        aux = {"Tag": reference.tag, "Digest": digest, "Size": size}
        emit(PullProgress(status="", aux=aux))
        if digest == image.manifest:
            by_digest = msgspec.structs.replace(reference, tag="", digest=digest)
            await self.images.point(by_digest, image)
        self.events.publish("image", "push", reference.familiar, {"name": reference.familiar_name})

    def _sources(self, reference: Reference, image: Image) -> Mapping[Digest, Sequence[str]]:
        """Return other repositories of the registry that may have this image's blobs."""
        found: dict[Digest, list[str]] = defaultdict(list)
        own = self.images.blobs_of(image)
        for other in self.images.list(include_intermediate=True, filters={}):
            shared = own & self.images.blobs_of(other)
            for text in (*other.tags, *other.digests) if shared else ():
                name = parse_reference(text)
                if name.registry != reference.registry or name.repository == reference.repository:
                    continue
                for digest in shared:
                    known = found[digest]
                    if name.repository not in known and len(known) < _MAX_SOURCES:
                        known.append(name.repository)
        return found
