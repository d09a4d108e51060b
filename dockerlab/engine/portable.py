"""Images with all their parts at hand, ready to be saved or pushed.

A pull leaves out layers that the store has unpacked already, perhaps from another image that had
the same archive in another compression. Such a layer's blob is taken from there, and the manifest
is written anew; the image's id stays.
"""

from collections.abc import Iterable

import msgspec

from dockerlab.engine.image import Image
from dockerlab.engine.images import Images
from dockerlab.errors import DockerlabError, EngineFailure, NotFound
from dockerlab.image.archive.writing import PortableImage
from dockerlab.image.content import ContentStore
from dockerlab.oci.descriptor import MANIFEST_TYPES, Descriptor
from dockerlab.oci.digest import Digest
from dockerlab.oci.imageconfig import MAX_CONFIG_BYTES
from dockerlab.oci.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from dockerlab.oci.reference import Reference

__all__ = ["make_portable"]


def make_portable(
    image: Image, references: Iterable[Reference], images: Images, content: ContentStore
) -> PortableImage:
    """Return an image with its parts.

    Raises
    ------
    NotFound
        A layer's blob is not in the store.
    """
    data = content.read(image.manifest, MAX_MANIFEST_BYTES)
    manifest = _parse(data, image)
    layers = manifest.layers
    if missing := [layer for layer in layers if not content.has(layer.digest)]:
        layers = _completed(layers, image, images, content)
        if not all(content.has(layer.digest) for layer in layers):
            raise NotFound(
                f"the compressed layer {missing[0].digest} of {image.id} is not in the store, "
                "because its files were there already when it was pulled",
                "remove the image, and pull it again",
            )
        data = msgspec.json.encode(msgspec.structs.replace(manifest, layers=layers))
    return PortableImage(
        manifest=data,
        media_type=manifest.media_type or MANIFEST_TYPES[0],
        config=content.read(image.id, MAX_CONFIG_BYTES),
        layers=layers,
        references=tuple(references),
    )


def _parse(data: bytes, image: Image) -> Manifest:
    parsed = parse_manifest(data, "", image.id)
    if not isinstance(parsed, Manifest):
        raise EngineFailure(f"the manifest of {image.id} is damaged", "pull the image again")
    return parsed


def _completed(
    layers: tuple[Descriptor, ...], image: Image, images: Images, content: ContentStore
) -> tuple[Descriptor, ...]:
    """Return the layers, those without a blob replaced by the same ones of other images."""
    known: dict[Digest, Descriptor] = {}
    for other in images.list(include_intermediate=True, filters={}):
        try:
            manifest = _parse(content.read(other.manifest, MAX_MANIFEST_BYTES), other)
        except DockerlabError:
            continue  # Its documents are damaged: that is said when it is asked for.
        pairs = zip(other.config.rootfs.diff_ids, manifest.layers, strict=False)
        known |= {diff_id: layer for diff_id, layer in pairs if content.has(layer.digest)}
    return tuple(
        layer if content.has(layer.digest) else known.get(diff_id, layer)
        for layer, diff_id in zip(layers, image.config.rootfs.diff_ids, strict=True)
    )
