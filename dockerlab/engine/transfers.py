"""Images into archives and out of them: ``docker save``, ``docker load`` and ``docker import``.

Archives stream through; what is in them is `image.archive`'s. An upload comes through a descriptor,
so the thread that reads it makes the client wait and not the daemon.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from dockerlab.engine.events import Events
from dockerlab.engine.image import Image, ImportRequest, PullProgress
from dockerlab.engine.imagechanges import apply_changes
from dockerlab.engine.keeping import Keeper
from dockerlab.engine.portable import make_portable
from dockerlab.engine.threads import in_thread
from dockerlab.errors import BadReference, ImageNotFound, InvalidArgument, Unsupported
from dockerlab.image.archive.meaning import ArchivedImage, find_images
from dockerlab.image.archive.reading import Contents, read_archive
from dockerlab.image.archive.writing import PortableImage, write_archive
from dockerlab.image.layer.compression import open_reader
from dockerlab.image.layer.fault import LayerFault
from dockerlab.image.layerblobs import MadeLayer, new_layer_blob
from dockerlab.image.registry.download import PulledLayer
from dockerlab.oci.descriptor import Descriptor
from dockerlab.oci.digest import Digest, short
from dockerlab.oci.imageconfig import (
    History,
    ImageConfig,
    RootFS,
    RunConfig,
    parse_image_config,
)
from dockerlab.oci.platform import host_platform, parse_platform
from dockerlab.oci.reference import Reference, parse_reference

__all__ = ["Transfers"]

_IMPORT_COMMENT = "Imported from -"

Emit = Callable[[PullProgress], None]


@dataclass(frozen=True, slots=True)
class Transfers:
    """Saves, loads and imports images."""

    keeper: Keeper
    events: Events

    def save(self, names: Sequence[str]) -> AsyncIterator[bytes]:
        """Return the pieces of an archive of images.

        Parameters
        ----------
        names : sequence of str
            References and ids; a repository without a tag means all its tags.

        Raises
        ------
        ImageNotFound
            At once, before the first piece.
        NotFound
            A part of an image is not there.
        """
        if not names:
            raise InvalidArgument("no image is named to be saved")
        chosen: dict[Digest, tuple[Image, list[Reference]]] = {}
        for name in names:
            for image, references in self._named(name):
                known = chosen.setdefault(image.id, (image, []))[1]
                known += [reference for reference in references if reference not in known]
        store = self.keeper.store
        portable = [
            make_portable(image, references, self.keeper.images, store.content)
            for image, references in chosen.values()
        ]
        for image, _ in chosen.values():
            self.events.publish("image", "save", image.id, {"name": image.id})
        return self._pieces(portable)

    async def load(self, source_fd: int, emit: Emit) -> list[str]:
        """Take in the images of an archive.

        Parameters
        ----------
        source_fd : int
            The archive; closed here.
        emit : callable
            Told of each layer.

        Returns
        -------
        list of str
            Sentences for the user, as Docker words them.

        Raises
        ------
        InvalidArgument, BadDigest
            The archive is not what it should be; images before the fault may have come in.
        EngineFailure
            The disk is full.
        """
        contents = Contents()
        content = self.keeper.store.content
        try:
            try:
                await in_thread(lambda: read_archive(source_fd, content, contents), _keep)
            finally:
                os.close(source_fd)
            told = []
            for found in find_images(contents):
                told += await self._load(found, emit)
            return told
        finally:
            await self.keeper.images.discard_unnamed(contents.new_blobs)

    async def import_root(self, source_fd: int, request: ImportRequest) -> Image:
        """Make an image with one layer of an archive of files; `source_fd` is closed here.

        Raises
        ------
        InvalidArgument, BadReference
            The archive, a change or the name is not valid.
        """
        try:
            reference = None
            if request.repository:
                tag = f":{request.tag}" if request.tag else ""
                reference = parse_reference(f"{request.repository}{tag}")
            run = apply_changes(RunConfig(), request.changes)
            platform = parse_platform(request.platform) if request.platform else host_platform()
            made = await in_thread(lambda: self._make_layer(source_fd), self._drop)
        finally:
            os.close(source_fd)
        try:
            layer = await self._unpack_one(made.descriptor, made.diff_id)
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            config = ImageConfig(
                architecture=platform.architecture,
                os=platform.os,
                variant=platform.variant or None,
                created=now,
                config=run,
                rootfs=RootFS(diff_ids=(made.diff_id,)),
                history=(History(created=now, comment=request.message or _IMPORT_COMMENT),),
            )
            references = [reference] if reference else []
            image = await self.keeper.keep(msgspec.json.encode(config), [layer], references)
        finally:
            if made.is_new:
                await self.keeper.images.discard_unnamed({made.descriptor.digest})
        name = reference.familiar if reference else image.id
        self.events.publish("image", "import", image.id, {"name": name})
        return image

    def _named(self, name: str) -> Iterable[tuple[Image, list[Reference]]]:
        """Return what a name means; an id, and a digest, are no name that would be saved."""
        images = self.keeper.images
        with suppress(BadReference):
            reference = parse_reference(name)
            tags = images.tags_of(reference.name)
            if ":" not in name.rpartition("/")[2] and tags:
                return [(images.get(str(tag)), [tag]) for tag in tags]
            if reference in tags:
                return [(images.get(str(reference)), [reference])]
        try:
            return [(images.get(name), [])]
        except ImageNotFound:
            raise ImageNotFound(name) from None

    async def _pieces(self, portable: Sequence[PortableImage]) -> AsyncIterator[bytes]:
        pieces = write_archive(portable, self.keeper.store.content)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece

    async def _load(self, found: ArchivedImage, emit: Emit) -> list[str]:
        parsed = parse_image_config(found.config, "an image of the archive")
        if parsed.os != host_platform().os:
            raise Unsupported(f'cannot load {parsed.os} image on "{host_platform().os}"')
        layers: list[PulledLayer] = []
        try:
            for descriptor, diff_id in zip(found.layers, found.diff_ids, strict=True):
                layers.append(await self._unpack(descriptor, diff_id, layers, emit))
        except BaseException:
            self.keeper.abandon(layers)
            raise
        before = {str(r): self._holder(r) for r in found.references}
        image = await self.keeper.keep(
            found.config, layers, found.references, manifest=found.manifest
        )
        return list(self._sentences(image, found.references, before))

    async def _unpack(
        self, descriptor: Descriptor, diff_id: Digest, before: Sequence[PulledLayer], emit: Emit
    ) -> PulledLayer:
        """Unpack one layer, unless one before it is the same."""
        same = next((layer for layer in before if layer.diff_id == diff_id), None)
        if same is not None:
            return replace(same, descriptor=descriptor, staging=None)
        layer = await self._unpack_one(descriptor, diff_id)
        if layer.staging is not None:
            size = descriptor.size
            status = "Loading layer"
            emit(PullProgress(status=status, id=short(diff_id), current=size, total=size))
        return layer

    async def _unpack_one(self, descriptor: Descriptor, diff_id: Digest) -> PulledLayer:
        return await in_thread(
            lambda: self.keeper.unpack(descriptor, diff_id),
            lambda layer: self.keeper.abandon([layer]),
        )

    def _drop(self, made: MadeLayer) -> None:
        if made.is_new:
            self.keeper.store.content.delete(made.descriptor.digest)

    def _holder(self, reference: Reference) -> Digest | None:
        try:
            return self.keeper.images.get(str(reference)).id
        except ImageNotFound:
            return None

    def _sentences(
        self, image: Image, references: Sequence[Reference], before: dict[str, Digest | None]
    ) -> Iterable[str]:
        for reference in references:
            old = before[str(reference)]
            if old is not None and old != image.id:
                yield (
                    f"The image {reference.familiar} already exists, renaming the old one with ID"
                    f" {old} to empty string"
                )
            yield f"Loaded image: {reference.familiar}"
            self.events.publish("image", "load", image.id, {"name": reference.familiar})
        if not references:
            yield f"Loaded image ID: {image.id}"
            self.events.publish("image", "load", image.id, {"name": image.id})

    def _make_layer(self, source_fd: int) -> MadeLayer:
        """Make a blob of an archive of files, in a thread."""
        try:
            read = open_reader(source_fd)
            with new_layer_blob(self.keeper.store.content) as blob:
                while piece := read():
                    blob.write(piece)
                return blob.commit()
        except LayerFault as fault:
            raise InvalidArgument(f"the archive cannot be read: {fault.message}") from fault


def _keep(_: None) -> None:
    """Leave what was read: `Transfers.load` deletes it."""
