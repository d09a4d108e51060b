"""From layers and a config that were made or read here to an image of the store.

What pulls do in `pulls`, for everything that does not come from a registry: commits, builds,
loads, imports. First the bytes (`image.layerblobs`, `unpack`), then the image in one step (`keep`):
data on disk, folders in place, one transaction.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from dockerlab.engine.database import ImageRow
from dockerlab.engine.image import Image
from dockerlab.engine.images import Images
from dockerlab.engine.pulls import Store
from dockerlab.errors import BadDigest, Conflict, EngineFailure, InvalidArgument
from dockerlab.image.registry.download import PulledLayer
from dockerlab.kernel.syscalls import syncfs
from dockerlab.oci.descriptor import (
    LAYER_COMPRESSION,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
)
from dockerlab.oci.digest import Digest, digest_of
from dockerlab.oci.imageconfig import parse_image_config
from dockerlab.oci.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from dockerlab.oci.reference import Reference

__all__ = ["Keeper", "oci_manifest"]

_OCI_LAYERS = {
    "gzip": OCI_LAYER_GZIP,
    "zstd": OCI_LAYER_GZIP.replace("+gzip", "+zstd"),
    "none": OCI_LAYER_GZIP.removesuffix("+gzip"),
}


@dataclass(frozen=True, slots=True)
class Keeper:
    """Makes images of what is at hand."""

    images: Images
    store: Store

    def layers_of(self, image: Image) -> tuple[PulledLayer, ...]:
        """Return the layers of an image of the store, lowest first, to put others on them."""
        data = self.store.content.read(image.manifest, MAX_MANIFEST_BYTES)
        manifest = parse_manifest(data, "", image.id)
        if not isinstance(manifest, Manifest):
            raise EngineFailure(f"the manifest of {image.id} is damaged", "pull the image again")
        diff_ids = image.config.rootfs.diff_ids
        return tuple(
            PulledLayer(
                descriptor=descriptor,
                diff_id=diff_id,
                staging=None,
                size_bytes=self.store.layers.size(diff_id),
            )
            for descriptor, diff_id in zip(manifest.layers, diff_ids, strict=True)
        )

    def unpack(self, descriptor: Descriptor, diff_id: Digest) -> PulledLayer:
        """Unpack a layer whose blob is in the store, unless the store has it unpacked; in a thread.

        Raises
        ------
        BadDigest, InvalidArgument
            The archive in the blob is another one than promised, or none.
        EngineFailure
            The disk is full, or the worker was killed.
        """
        layers = self.store.layers
        if layers.has(diff_id):
            size = layers.size(diff_id)
            return PulledLayer(
                descriptor=descriptor, diff_id=diff_id, staging=None, size_bytes=size
            )
        staging = layers.stage(diff_id)
        try:
            fd = os.open(self.store.content.path(descriptor.digest), os.O_RDONLY | os.O_CLOEXEC)
            job = self.store.unpacker.start(diff_id, staging, descriptor.media_type, fd)
            unpacked = job.result()
        except BaseException:
            layers.abandon(staging)
            raise
        return PulledLayer(
            descriptor=descriptor,
            diff_id=diff_id,
            staging=staging,
            size_bytes=unpacked.size_bytes,
        )

    def abandon(self, layers: Iterable[PulledLayer]) -> None:
        """Remove what was unpacked for an image that does not come to be."""
        for layer in layers:
            if layer.staging is not None:
                self.store.layers.abandon(layer.staging)

    async def keep(
        self,
        config: bytes,
        layers: Sequence[PulledLayer],
        references: Sequence[Reference] = (),
        *,
        manifest: bytes = b"",
        source: str = "",
    ) -> Image:
        """Make an image, and point the references at it.

        Parameters
        ----------
        config : bytes
            The image config, whose digest is the image's id.
        layers : sequence of PulledLayer
            As many as the config has diffIDs, lowest first; they are taken over.
        manifest : bytes
            One that is there already; else one is made, in OCI's form.
        source : str
            Where it comes from, for the label ``dockerlab.source``.

        Raises
        ------
        BadDigest
            The layers are not those of the config.
        Conflict
            A layer was removed meanwhile.
        EngineFailure
            The disk is full or fails.
        """
        parsed = parse_image_config(config, "the new image")
        if [layer.diff_id for layer in layers] != list(parsed.rootfs.diff_ids):
            self.abandon(layers)
            raise BadDigest("the layers of the new image are not those that its config names")
        manifest = manifest or oci_manifest(config, [layer.descriptor for layer in layers])
        async with self.images.lock:
            try:
                await asyncio.to_thread(self._place, config, manifest, layers)
            except OSError as exc:
                self.abandon(layers)
                raise EngineFailure(f"cannot keep the new image: {exc}") from exc
            row = ImageRow(
                id=digest_of(config),
                manifest=digest_of(manifest),
                source=source,
                pulled_at=datetime.now(UTC).isoformat(),
                layers=tuple((layer.diff_id, layer.size_bytes) for layer in layers),
                blobs=frozenset(
                    {
                        digest_of(config),
                        digest_of(manifest),
                        *(layer.descriptor.digest for layer in layers),
                    }
                ),
            )
            return self.images.add(row, references)

    def _place(self, config: bytes, manifest: bytes, layers: Sequence[PulledLayer]) -> None:
        content = self.store.content
        digest = content.put(config)
        content.put(manifest)
        staged = [layer for layer in layers if layer.staging is not None]
        folders = {content.path(digest).parent, *(layer.staging for layer in staged)}
        for folder in folders:
            fd = os.open(str(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                syncfs(fd)
            finally:
                os.close(fd)
        for layer in staged:
            if layer.staging is not None:
                self.store.layers.commit(layer.diff_id, layer.staging, layer.size_bytes)
        for layer in layers:
            if not self.store.layers.has(layer.diff_id):
                raise Conflict(
                    f"the layer {layer.diff_id} was removed meanwhile", "do the same again"
                )


def oci_manifest(config: bytes, layers: Sequence[Descriptor]) -> bytes:
    """Return a manifest in OCI's form; Docker's media types of layers become OCI's.

    Raises
    ------
    InvalidArgument
        A layer of an unknown type.
    """
    made = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=Descriptor(media_type=OCI_CONFIG, digest=digest_of(config), size=len(config)),
        layers=tuple(map(_as_oci, layers)),
    )
    return msgspec.json.encode(made)


def _as_oci(layer: Descriptor) -> Descriptor:
    with suppress(KeyError):
        media_type = _OCI_LAYERS[LAYER_COMPRESSION[layer.media_type]]
        return Descriptor(media_type=media_type, digest=layer.digest, size=layer.size)
    raise InvalidArgument(f'a layer has the unknown type "{layer.media_type}"')
