"""One layer: downloaded, verified, kept and unpacked in one stream.

Each piece that arrives goes to the content store's ingest, which hashes it, and to the worker,
which unpacks it; so a layer is unpacked a moment after its last byte came. Which layers there are
is `pull`.
"""

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dockerlab.errors import BadDigest, Cancelled, InvalidArgument, Unavailable
from dockerlab.image.content import ContentStore, Ingest
from dockerlab.image.layers import LayerStore
from dockerlab.image.registry.feed import Feed
from dockerlab.image.registry.reporter import Reporter
from dockerlab.image.registry.session import Repository
from dockerlab.image.registry.transport import MAX_ATTEMPTS, Broken, pause, wait
from dockerlab.image.registry.unpacking import Unpacked, Unpacker
from dockerlab.oci.descriptor import Descriptor
from dockerlab.oci.digest import Digest
from dockerlab.phases import Stopwatch

__all__ = ["Fresh", "LayerDownload", "PullContext", "PulledLayer"]

_READ_BYTES = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledLayer:
    """A layer that is there or staged.

    Parameters
    ----------
    descriptor : Descriptor
        Of the compressed layer.
    diff_id : Digest
        Of the uncompressed one; names its folder.
    staging : Path or None
        Where it is unpacked, for `LayerStore.commit`; None when the store has the layer, or when an
        earlier layer of the same image is the same.
    size_bytes : int
        Sum of its files.
    """

    descriptor: Descriptor
    diff_id: Digest
    staging: Path | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Fresh:
    """The blobs that a pull brings, or has begun to: documents, and layers."""

    documents: set[Digest] = field(default_factory=set)
    layers: set[Digest] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullContext:
    """What the layers of one pull share."""

    repository: Repository
    content: ContentStore
    layers: LayerStore
    unpacker: Unpacker
    reporter: Reporter
    stopwatch: Stopwatch
    stop: threading.Event
    fresh: Fresh


class _StalePartial(Exception):
    """What an earlier pull left is not the beginning of this blob."""


class LayerDownload:
    """Fetches and unpacks one layer; runs in a thread of its own."""

    def __init__(self, context: PullContext, descriptor: Descriptor, diff_id: Digest) -> None:
        self._context = context
        self._descriptor = descriptor
        self._diff_id = diff_id

    def run(self) -> PulledLayer:
        """Return the staged layer; whatever is raised, no staging folder and no worker is left.

        Raises
        ------
        BadDigest, InvalidArgument, EngineFailure
            The layer is not what the manifest or the config promise, or cannot be unpacked.
        Unavailable, NotFound, …
            As `Repository.blob`.
        Cancelled
            The pull ends.
        """
        if self._context.stop.is_set():
            raise Cancelled("the pull was cancelled")
        try:
            return self._stage_and_fill()
        except _StalePartial:
            return self._stage_and_fill()

    def _stage_and_fill(self) -> PulledLayer:
        context, descriptor = self._context, self._descriptor
        with ExitStack() as undo:
            staging = context.layers.stage(self._diff_id)
            undo.callback(context.layers.abandon, staging)
            unpacked = self._fill(staging)
            undo.pop_all()
        context.stopwatch.add(
            "unpack",
            unpacked.begin_s,
            unpacked.end_s,
            layer=descriptor.digest,
            size_bytes=unpacked.archive_bytes,
        )
        context.reporter.say("Pull complete", descriptor.digest)
        return PulledLayer(
            descriptor=descriptor,
            diff_id=self._diff_id,
            staging=staging,
            size_bytes=unpacked.size_bytes,
        )

    def _fill(self, staging: Path) -> Unpacked:
        context, descriptor = self._context, self._descriptor
        if context.content.has(descriptor.digest):
            return self._from_store(staging)
        with context.content.ingest(
            descriptor.digest, descriptor.size, cancelled=context.stop
        ) as ingest:
            if context.content.has(descriptor.digest):
                # Another pull has fetched it while this one waited.
                ingest.discard()
                return self._from_store(staging)
            try:
                return self._from_registry(staging, ingest)
            except (BadDigest, InvalidArgument) as exc:
                ingest.discard()
                if not ingest.resumed:
                    raise
                raise _StalePartial from exc

    def _from_registry(self, staging: Path, ingest: Ingest) -> Unpacked:
        context, descriptor = self._context, self._descriptor
        clock, digest = context.stopwatch.clock, descriptor.digest
        begin = clock()
        with Feed(context.unpacker, context.stop) as feed:
            feed.start(self._diff_id, staging, descriptor.media_type)
            for piece in ingest.written():
                feed.write(piece)
            self._stream(ingest, feed)
            arrived = clock()
            context.stopwatch.add(
                "download", begin, arrived, layer=digest, size_bytes=ingest.offset - ingest.resumed
            )
            context.reporter.say("Verifying Checksum", digest)
            ingest.commit()
            context.stopwatch.add(
                "verify", arrived, clock(), layer=digest, size_bytes=descriptor.size
            )
            context.reporter.say("Download complete", digest)
            context.reporter.count("Extracting", digest, descriptor.size, descriptor.size)
            return feed.finish()

    def _stream(self, ingest: Ingest, feed: Feed) -> None:
        """Fetch from where the ingest stands to the end, resuming what breaks off."""
        context, descriptor = self._context, self._descriptor
        attempt = 0
        while ingest.offset < descriptor.size:
            before = ingest.offset
            try:
                with context.repository.blob(descriptor, before) as stream:
                    for piece in stream:
                        ingest.write(piece)
                        feed.write(piece)
                        context.reporter.count(
                            "Downloading", descriptor.digest, ingest.offset, descriptor.size
                        )
                reason = "it ended early"
            except Broken as exc:
                reason = str(exc)
            if ingest.offset == descriptor.size:
                return
            # Only attempts that brought nothing count: a bad line may break a long layer often.
            attempt = 1 if ingest.offset > before else attempt + 1
            if attempt == MAX_ATTEMPTS:
                raise Unavailable(f"the download of {descriptor.digest} broke off: {reason}")
            wait(context.stop, pause(attempt))

    def _from_store(self, staging: Path) -> Unpacked:
        """Unpack a blob that is in the content store already."""
        context, descriptor = self._context, self._descriptor
        with Feed(context.unpacker, context.stop) as feed:
            feed.start(self._diff_id, staging, descriptor.media_type)
            context.reporter.say("Download complete", descriptor.digest)
            fed = 0
            with context.content.path(descriptor.digest).open("rb") as file:
                while piece := file.read(_READ_BYTES):
                    feed.write(piece)
                    fed += len(piece)
                    context.reporter.count("Extracting", descriptor.digest, fed, descriptor.size)
            return feed.finish()
