"""Which images an archive holds: from its documents to configs, layers and names. Pure functions.

Docker's form has a ``manifest.json`` (moby, image/spec), OCI's an ``index.json``
(image-spec/image-layout.md). Where both are there, Docker's says which images, with which names,
and OCI's gives their manifests, so that an image comes out under the digest that it went in with.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from dockerlab.errors import BadDigest, InvalidArgument
from dockerlab.image.archive.reading import Contents, FoundLayer
from dockerlab.oci.descriptor import (
    INDEX_TYPES,
    LAYER_COMPRESSION,
    MANIFEST_TYPES,
    Descriptor,
)
from dockerlab.oci.digest import Digest, digest_of
from dockerlab.oci.imageconfig import ImageConfig, parse_image_config
from dockerlab.oci.manifest import Index, Manifest, parse_manifest
from dockerlab.oci.reference import Reference, parse_reference

__all__ = ["CONTAINERD_NAME", "REFERENCE_NAME", "ArchivedImage", "find_images"]

CONTAINERD_NAME = "io.containerd.image.name"
REFERENCE_NAME = "org.opencontainers.image.ref.name"

_MAX_INDEX_DEPTH = 4
_MAX_IMAGES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedImage:
    """One image of an archive.

    Parameters
    ----------
    config : bytes
        Its config, whose digest is its id.
    diff_ids : tuple of Digest
        Of its layers, lowest first; not verified yet.
    layers : tuple of Descriptor
        Of the blobs of the store that they are in.
    references : tuple of Reference
        Its names.
    manifest : bytes
        The manifest that it had; empty when there is none that fits the blobs.
    """

    config: bytes
    diff_ids: tuple[Digest, ...]
    layers: tuple[Descriptor, ...]
    references: tuple[Reference, ...]
    manifest: bytes = b""


class _Item(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    config: str
    repo_tags: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None


def find_images(contents: Contents) -> list[ArchivedImage]:
    """Return the images of an archive.

    Raises
    ------
    InvalidArgument
        It is no archive of images, or lacks a part of one.
    BadDigest
        A part has another digest than the one that it is named by.
    """
    manifests = list(_layout_images(contents))
    listed = contents.document("manifest.json")
    if listed is None:
        if not manifests:
            raise InvalidArgument(
                "the archive holds no image: it has neither a manifest.json nor an index.json that"
                " names one",
                "load what docker save has written; what docker export has written is imported",
            )
        return [_from_layout(found, contents) for found in manifests]
    try:
        items = msgspec.json.decode(listed, type=list[_Item])
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise InvalidArgument(f"the manifest.json of the archive is not valid: {exc}") from exc
    by_config = {found.manifest.config.digest: found for found in manifests}
    return [_from_docker(item, by_config, contents) for item in items[:_MAX_IMAGES]]


@dataclass(frozen=True, slots=True)
class _InLayout:
    manifest: Manifest
    data: bytes
    annotations: dict[str, str]


def _layout_images(contents: Contents) -> Iterator[_InLayout]:
    """Yield the image manifests that the index of a layout names; what is not there is left out."""
    data = contents.document("index.json")
    if data is None:
        return
    index = parse_manifest(data, INDEX_TYPES[0], "index.json")
    if isinstance(index, Index):
        for descriptor in index.manifests:
            yield from _members(descriptor, descriptor.annotations or {}, contents, 0)


def _members(
    descriptor: Descriptor, annotations: dict[str, str], contents: Contents, depth: int
) -> Iterator[_InLayout]:
    data = contents.blob(descriptor.digest)
    # What is attested about an image is no image (and calls its platform "unknown").
    is_other = descriptor.platform is not None and descriptor.platform.os == "unknown"
    if data is None or is_other or depth > _MAX_INDEX_DEPTH:
        return
    known = (*INDEX_TYPES, *MANIFEST_TYPES)
    media_type = descriptor.media_type if descriptor.media_type in known else ""
    parsed = parse_manifest(data, media_type, descriptor.digest)
    if isinstance(parsed, Manifest):
        yield _InLayout(parsed, data, annotations)
        return
    for inner in parsed.manifests:
        yield from _members(inner, annotations | (inner.annotations or {}), contents, depth + 1)


def _from_layout(found: _InLayout, contents: Contents) -> ArchivedImage:
    config = contents.blob(found.manifest.config.digest)
    if config is None:
        raise InvalidArgument(f"the archive lacks the config {found.manifest.config.digest}")
    layers = [contents.layer_blob(layer.digest) for layer in found.manifest.layers]
    missing = [
        str(layer.digest)
        for layer, stored in zip(found.manifest.layers, layers, strict=True)
        if stored is None
    ]
    if missing:
        raise InvalidArgument(f"the archive lacks the layer {missing[0]}")
    stored = [layer for layer in layers if layer is not None]
    parsed = _config(config, len(stored))
    names = [found.annotations.get(CONTAINERD_NAME), found.annotations.get(REFERENCE_NAME)]
    return ArchivedImage(
        config=config,
        diff_ids=parsed.rootfs.diff_ids,
        layers=_descriptors(found.manifest, stored),
        references=_references(tuple(filter(None, names))[:1]),
        manifest=found.data if _fits(found.manifest, stored) else b"",
    )


def _from_docker(
    item: _Item, by_config: dict[Digest, _InLayout], contents: Contents
) -> ArchivedImage:
    config = contents.document(item.config)
    if config is None:
        raise InvalidArgument(f'the archive lacks the config "{item.config[:200]}"')
    digest = digest_of(config)
    named = item.config.removesuffix(".json").rpartition("/")[2]
    if len(named) == len(digest) - 7 and f"sha256:{named}" != digest:
        raise BadDigest(f'the config "{item.config}" has the digest {digest}')
    stored = []
    for name in item.layers or ():
        layer = contents.layer(name)
        if layer is None:
            raise InvalidArgument(f'the archive lacks the layer "{name[:200]}"')
        stored.append(layer)
    parsed = _config(config, len(stored))
    found = by_config.get(digest)
    fits = found is not None and _fits(found.manifest, stored)
    return ArchivedImage(
        config=config,
        diff_ids=parsed.rootfs.diff_ids,
        layers=_descriptors(found.manifest if found and fits else None, stored),
        references=_references(item.repo_tags or ()),
        manifest=found.data if found and fits else b"",
    )


def _config(data: bytes, layers: int) -> ImageConfig:
    config = parse_image_config(data, "an image of the archive")
    if len(config.rootfs.diff_ids) != layers:
        raise InvalidArgument(
            f"invalid manifest, layers length mismatch: expected {len(config.rootfs.diff_ids)}, "
            f"got {layers}"
        )
    return config


def _fits(manifest: Manifest, stored: list[FoundLayer]) -> bool:
    """Tell whether the store has the very blobs that a manifest names."""
    return [(layer.digest, layer.size) for layer in manifest.layers] == [
        (layer.descriptor.digest, layer.descriptor.size) for layer in stored
    ]


def _descriptors(manifest: Manifest | None, stored: list[FoundLayer]) -> tuple[Descriptor, ...]:
    if manifest is not None and _fits(manifest, stored):
        return tuple(layer for layer in manifest.layers if layer.media_type in LAYER_COMPRESSION)
    return tuple(layer.descriptor for layer in stored)


def _references(names: tuple[str, ...]) -> tuple[Reference, ...]:
    """Return the names that say which image they are; a bare tag does not."""
    found = []
    for name in names:
        if not name or ("/" not in name and ":" not in name):
            continue
        reference = parse_reference(name)
        if reference.tag:
            found.append(reference)
    return tuple(found)
