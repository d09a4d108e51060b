"""Pushing one image: its blobs, each only where it is not there yet, then its manifest.

Synchronous; runs in a thread of the engine, with a few threads of its own for layers. How a blob
travels is `target`'s.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from dockerlab.errors import Cancelled, NotFound
from dockerlab.image.archive.writing import PortableImage
from dockerlab.image.content import ContentStore
from dockerlab.image.registry.reporter import Reporter
from dockerlab.image.registry.target import Target
from dockerlab.oci.descriptor import Descriptor
from dockerlab.oci.digest import Digest, digest_of

__all__ = ["MAX_UPLOADS", "PushContext", "push_image"]

# Docker's default for max-concurrent-uploads.
MAX_UPLOADS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PushContext:
    """What the layers of one push share.

    Parameters
    ----------
    target : Target
        Where to.
    content : ContentStore
        Where the blobs are.
    sources : mapping
        Digest -> other repositories of the registry that may have it.
    reporter : Reporter
        Told of progress, under the layers' diffIDs.
    stop : Event
        Ends everything.
    """

    target: Target
    content: ContentStore
    sources: Mapping[Digest, Sequence[str]]
    reporter: Reporter
    stop: threading.Event


def push_image(
    image: PortableImage, diff_ids: Sequence[Digest], tag: str, context: PushContext
) -> tuple[Digest, int]:
    """Push an image under a tag; return digest and size of its manifest.

    Raises
    ------
    Unauthorized, Forbidden, Unavailable, RegistryUnreachable
        As they say.
    Cancelled
        `stop` was set.
    """
    unique = dict(zip((layer.digest for layer in image.layers), diff_ids, strict=True))
    by_digest = {layer.digest: layer for layer in image.layers}
    for diff_id in unique.values():
        context.reporter.say("Preparing", diff_id)
    for diff_id in list(unique.values())[MAX_UPLOADS:]:
        context.reporter.say("Waiting", diff_id)
    with ThreadPoolExecutor(MAX_UPLOADS, thread_name_prefix="upload") as threads:
        futures = [
            threads.submit(_push_layer, by_digest[digest], diff_id, context)
            for digest, diff_id in unique.items()
        ]
        wait(futures, return_when=FIRST_EXCEPTION)
        if any(future.done() and future.exception() for future in futures):
            context.stop.set()
    failures = [error for future in futures if (error := future.exception())]
    if failures:
        told = [error for error in failures if not isinstance(error, Cancelled)]
        raise (told or failures)[0]
    _push_config(image, context)
    context.target.put_manifest(tag, image.manifest, image.media_type)
    return digest_of(image.manifest), len(image.manifest)


def _push_layer(layer: Descriptor, diff_id: Digest, context: PushContext) -> None:
    if context.stop.is_set():
        raise Cancelled("the push was cancelled")
    target, reporter = context.target, context.reporter
    if target.has(layer.digest):
        reporter.say("Layer already exists", diff_id)
        return
    where = ""
    for source in context.sources.get(layer.digest, ()):
        where = target.mount(layer.digest, source)
        if not where:
            reporter.say(f"Mounted from {source}", diff_id)
            return

    def report(sent: int) -> None:
        """Tell how far it is."""
        reporter.count("Pushing", diff_id, sent, layer.size)

    _upload(where or target.begin(), layer, context, report)
    reporter.say("Pushed", diff_id)


def _push_config(image: PortableImage, context: PushContext) -> None:
    digest = image.config_digest
    if context.target.has(digest):
        return
    descriptor = Descriptor(media_type="", digest=digest, size=len(image.config))
    _upload(context.target.begin(), descriptor, context, lambda _: None)


def _upload(
    url: str, blob: Descriptor, context: PushContext, report: Callable[[int], None]
) -> None:
    try:
        context.target.upload(url, context.content.path(blob.digest), blob, report)
    except FileNotFoundError as exc:
        raise NotFound(f"the blob {blob.digest} was deleted meanwhile") from exc
