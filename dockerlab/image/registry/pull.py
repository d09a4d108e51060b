"""Pulling one image: reference → manifest → config → layers, staged and verified.

Synchronous; runs in a thread of the engine, with a few threads of its own for layers. It makes
nothing visible: the caller flushes the disk, commits the layers and writes its database, in this
order.
"""

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from dockerlab.errors import Cancelled, EngineFailure, InvalidArgument, ManifestNotFound
from dockerlab.image.content import ContentStore
from dockerlab.image.layers import LayerStore
from dockerlab.image.progress import PullProgress
from dockerlab.image.registry.download import Fresh, LayerDownload, PullContext, PulledLayer
from dockerlab.image.registry.reporter import Reporter
from dockerlab.image.registry.session import FetchedManifest, Session
from dockerlab.image.registry.unpacking import Unpacker
from dockerlab.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from dockerlab.oci.digest import Digest, digest_of
from dockerlab.oci.imageconfig import MAX_CONFIG_BYTES, ImageConfig, parse_image_config
from dockerlab.oci.manifest import MAX_MANIFEST_BYTES, Index, Manifest, parse_manifest
from dockerlab.oci.platform import Platform, choose
from dockerlab.oci.reference import Reference
from dockerlab.phases import Stopwatch

__all__ = ["MAX_DOWNLOADS", "Fresh", "Pulled", "PulledLayer", "pull"]

# Docker's default for max-concurrent-downloads.
MAX_DOWNLOADS = 3

_MAX_INDEX_DEPTH = 4
_MAX_INNER_INDEXES = 4
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull found and staged.

    Parameters
    ----------
    reference : Reference
        What was asked for.
    manifest : Descriptor
        Of the manifest of the chosen platform.
    repo_digest : Digest
        Of the index if there is one, else of the manifest: what `docker pull` prints, and what
        pulls the same again.
    config_digest : Digest
        The image id.
    config : ImageConfig
        The parsed config.
    layers : tuple of PulledLayer
        Lowest first, as many as the config has diffIDs.
    """

    reference: Reference
    manifest: Descriptor
    repo_digest: Digest
    config_digest: Digest
    config: ImageConfig
    layers: tuple[PulledLayer, ...]


class _Stop(threading.Event):
    """Set by the caller's cancellation or by the first layer that fails."""

    def __init__(self, outer: threading.Event) -> None:
        super().__init__()
        self._outer = outer

    def is_set(self) -> bool:
        """Tell whether either is set."""
        return super().is_set() or self._outer.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until either is set."""
        # `outer` wakes nobody who waits here, so a long wait looks up now and then.
        left = 3600.0 if timeout is None else timeout
        while not self.is_set() and left > 0:
            super().wait(min(left, _POLL_S))
            left -= _POLL_S
        return self.is_set()


def pull(  # noqa: PLR0913 - one collaborator each; a record would be taken apart at once
    reference: Reference,
    platform: Platform,
    *,
    session: Session,
    content: ContentStore,
    layers: LayerStore,
    unpacker: Unpacker,
    emit: Callable[[PullProgress], None],
    stopwatch: Stopwatch,
    cancelled: threading.Event,
    fresh: Fresh | None = None,
) -> Pulled:
    """Fetch an image and unpack the layers that are missing.

    Parameters
    ----------
    reference : Reference
        What to pull.
    platform : Platform
        Which manifest of an index to take.
    session : Session
        Connections and tokens.
    content, layers : ContentStore, LayerStore
        Where blobs go and where layers are staged.
    unpacker : Unpacker
        Starts layer workers.
    emit : callable
        Told of progress, from several threads but by one at a time.
    stopwatch : Stopwatch
        Gets ``resolve``, ``manifest``, and ``download``, ``verify``, ``unpack`` for each layer.
    cancelled : Event
        Set it to end the pull early.
    fresh : Fresh, optional
        Gets the digests of what was not in the content store before.

    Returns
    -------
    Pulled
        The staged layers belong to the caller, to commit or to abandon.

    Raises
    ------
    RegistryUnreachable
        Nobody answers, within three seconds.
    ManifestNotFound, Unauthorized, Forbidden, Unavailable
        The registry says no, or says nothing sensible.
    BadDigest, InvalidArgument, Unsupported
        The image is not what it should be.
    EngineFailure
        The disk is full or a worker failed.
    Cancelled
        As it says.

    Notes ----- Whatever is raised, staging folders are removed and workers have ended. Downloads
    in progress stay in the content store, and the next pull goes on with them.
    """
    stop = _Stop(cancelled)
    repository = session.repository(reference, stop)
    context = PullContext(
        repository=repository,
        content=content,
        layers=layers,
        unpacker=unpacker,
        reporter=Reporter(emit),
        stopwatch=stopwatch,
        stop=stop,
        fresh=fresh or Fresh(),
    )
    try:
        found = _find(reference, platform, context)
        return _pull_layers(reference, found, context)
    except OSError as exc:
        raise EngineFailure(f'cannot pull "{reference.familiar}": {exc.strerror or exc}') from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An image as its documents describe it, before any layer."""

    manifest: Manifest
    descriptor: Descriptor
    repo_digest: Digest
    config: ImageConfig


def _find(reference: Reference, platform: Platform, context: PullContext) -> _Found:
    """Fetch the documents."""
    clock = context.stopwatch.clock
    begin = clock()
    try:
        top = _fetch(reference, reference.target, context)
        # As Docker: the first line comes when the registry is known to have the image, so that an
        # error before it can still be the answer to the request.
        shown = f"{reference.name}@{reference.digest}" if reference.digest else reference.tag
        context.reporter.begin(reference.repository, shown)
        descriptor, manifest = _choose_manifest(reference, top, platform, context)
        config = _fetch_config(reference, manifest, context)
    finally:
        ready = min(max(context.repository.ready_s or begin, begin), clock())
        context.stopwatch.add("resolve", begin, ready)
        context.stopwatch.add("manifest", ready, clock())
    return _Found(manifest=manifest, descriptor=descriptor, repo_digest=top.digest, config=config)


def _fetch(reference: Reference, target: str, context: PullContext) -> FetchedManifest:
    """Return a manifest or an index from the store, when a digest says which, or the registry."""
    if target == reference.digest or target.startswith("sha256:"):
        digest = Digest(target)
        if context.content.has(digest):
            data = context.content.read(digest, MAX_MANIFEST_BYTES)
            return FetchedManifest(data=data, media_type="", digest=digest)
    fetched = context.repository.manifest(target)
    _put(fetched.data, context)
    return fetched


def _put(data: bytes, context: PullContext) -> None:
    digest = digest_of(data)
    if not context.content.has(digest):
        context.fresh.documents.add(digest)
        context.content.put(data)


def _choose_manifest(
    reference: Reference,
    fetched: FetchedManifest,
    platform: Platform,
    context: PullContext,
    depth: int = 0,
) -> tuple[Descriptor, Manifest]:
    """Go from an index to the manifest for the platform, through indexes inside it."""
    name = reference.familiar
    parsed = parse_manifest(fetched.data, fetched.media_type, name)
    if isinstance(parsed, Manifest):
        media_type = parsed.media_type or fetched.media_type.partition(";")[0].strip()
        return (
            Descriptor(
                media_type=media_type if media_type in MANIFEST_TYPES else MANIFEST_TYPES[0],
                digest=fetched.digest,
                size=len(fetched.data),
            ),
            parsed,
        )
    if depth == _MAX_INDEX_DEPTH:
        raise InvalidArgument(
            f'"{name}" has more than {_MAX_INDEX_DEPTH} indexes inside one another'
        )
    try:
        chosen = choose(parsed.manifests, platform, name)
    except ManifestNotFound as exc:
        # An index inside an index need not say what it is for (image-spec/image-index.md).
        return _search_inside(reference, parsed, platform, context, depth, exc)
    member = _fetch_member(reference, chosen, context)
    return _choose_manifest(reference, member, platform, context, depth + 1)


def _search_inside(
    reference: Reference,
    index: Index,
    platform: Platform,
    context: PullContext,
    depth: int,
    failure: ManifestNotFound,
) -> tuple[Descriptor, Manifest]:
    """Look into the indexes that say nothing of platforms, in order; there may be a few."""
    inner = [d for d in index.manifests if d.media_type in INDEX_TYPES and d.platform is None]
    for descriptor in inner[:_MAX_INNER_INDEXES]:
        member = _fetch_member(reference, descriptor, context)
        try:
            return _choose_manifest(reference, member, platform, context, depth + 1)
        except ManifestNotFound:
            continue
    raise failure


def _fetch_member(
    reference: Reference, chosen: Descriptor, context: PullContext
) -> FetchedManifest:
    fetched = _fetch(reference, chosen.digest, context)
    if len(fetched.data) != chosen.size:
        raise InvalidArgument(
            f"{chosen.digest} has {len(fetched.data)} bytes, its descriptor says {chosen.size}"
        )
    return FetchedManifest(
        data=fetched.data, media_type=fetched.media_type or chosen.media_type, digest=chosen.digest
    )


def _fetch_config(reference: Reference, manifest: Manifest, context: PullContext) -> ImageConfig:
    descriptor = manifest.config
    if context.content.has(descriptor.digest):
        data = context.content.read(descriptor.digest, MAX_CONFIG_BYTES)
    else:
        data = context.repository.small_blob(descriptor, MAX_CONFIG_BYTES)
        _put(data, context)
    config = parse_image_config(data, reference.familiar)
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        raise InvalidArgument(
            f'"{reference.familiar}" has {len(manifest.layers)} layers but '
            f"{len(config.rootfs.diff_ids)} diffIDs"
        )
    return config


def _pull_layers(reference: Reference, found: _Found, context: PullContext) -> Pulled:
    """Fetch what is missing, each diffID once, and put the layers in order."""
    pairs = list(zip(found.manifest.layers, found.config.rootfs.diff_ids, strict=True))
    missing: dict[Digest, Descriptor] = {}
    for descriptor, diff_id in pairs:
        if context.layers.has(diff_id) or diff_id in missing:
            context.reporter.say("Already exists", descriptor.digest)
        else:
            context.reporter.say("Pulling fs layer", descriptor.digest)
            missing[diff_id] = descriptor
            if not context.content.has(descriptor.digest):
                context.fresh.layers.add(descriptor.digest)
    for descriptor in list(missing.values())[MAX_DOWNLOADS:]:
        context.reporter.say("Waiting", descriptor.digest)
    fetched = _run(missing, context)
    ordered = []
    for descriptor, diff_id in pairs:
        layer = fetched.get(diff_id)
        is_first = layer is not None and diff_id in missing
        missing.pop(diff_id, None)
        ordered.append(
            PulledLayer(
                descriptor=descriptor,
                diff_id=diff_id,
                staging=layer.staging if layer and is_first else None,
                size_bytes=layer.size_bytes if layer else context.layers.size(diff_id),
            )
        )
    return Pulled(
        reference=reference,
        manifest=found.descriptor,
        repo_digest=found.repo_digest,
        config_digest=found.manifest.config.digest,
        config=found.config,
        layers=tuple(ordered),
    )


def _run(missing: dict[Digest, Descriptor], context: PullContext) -> dict[Digest, PulledLayer]:
    """Fetch layers side by side; the first error ends them all, and nothing stays staged."""
    if not missing:
        return {}
    with ThreadPoolExecutor(MAX_DOWNLOADS, thread_name_prefix="layer") as threads:
        futures = [
            threads.submit(LayerDownload(context, descriptor, diff_id).run)
            for diff_id, descriptor in missing.items()
        ]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
            if context.stop.is_set() or any(future.exception() for future in done):
                context.stop.set()
                context.repository.abort()
    failures = [error for future in futures if (error := future.exception())]
    if failures:
        _abandon(futures, context)
        raise _cause(failures)
    return {layer.diff_id: layer for layer in (future.result() for future in futures)}


def _abandon(futures: list[Future[PulledLayer]], context: PullContext) -> None:
    for future in futures:
        if future.exception() is None and (staging := future.result().staging):
            context.layers.abandon(staging)


def _cause(failures: list[BaseException]) -> BaseException:
    """Return the failure that the others followed from: those were only told to stop."""
    for failure in failures:
        if not isinstance(failure, Cancelled):
            return failure
    return failures[0]
