"""Manifests and indexes: from their bytes to values, or one clear error.

See image-spec/manifest.md, image-spec/image-index.md and CVE-2021-41190 for why a document that has
both layers and manifests is refused.
"""

import msgspec

from dockerlab.errors import BadDigest, InvalidArgument, Unsupported
from dockerlab.oci.descriptor import INDEX_TYPES, LAYER_COMPRESSION, MANIFEST_TYPES, Descriptor

__all__ = ["MAX_LAYERS", "MAX_MANIFEST_BYTES", "Index", "Manifest", "parse_manifest"]

MAX_MANIFEST_BYTES = 4 << 20
MAX_LAYERS = 500

_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The config and the layers, lowest first, of one platform's image."""

    schema_version: int
    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = ""
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The manifests of one image for several platforms."""

    schema_version: int
    manifests: tuple[Descriptor, ...]
    media_type: str = ""
    annotations: dict[str, str] | None = None


class _Shape(msgspec.Struct, rename="camel"):
    media_type: str = ""
    config: object = None
    layers: object = None
    manifests: object = None


def parse_manifest(data: bytes, media_type: str, name: str) -> Manifest | Index:
    """Parse the bytes of a manifest or an index.

    Parameters
    ----------
    data : bytes
        At most `MAX_MANIFEST_BYTES`.
    media_type : str
        What the registry or the descriptor called it; may be empty.
    name : str
        What the user asked for, for the message.

    Raises
    ------
    InvalidArgument
        Not JSON of that shape, too large, or its own media type contradicts `media_type`.
    Unsupported
        Schema 1, a foreign layer, or a layer of an unknown type.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise InvalidArgument(f'the manifest of "{name}" is larger than {MAX_MANIFEST_BYTES} bytes')
    media_type = media_type.partition(";")[0].strip()
    if media_type.startswith(_SCHEMA_1):
        raise Unsupported(
            f'"{name}" has a manifest of schema 1, which registries no longer serve',
            "push the image again with a current tool",
        )
    try:
        shape = msgspec.json.decode(data, type=_Shape)
        kind = _kind(shape, media_type, name)
        if kind in INDEX_TYPES:
            return msgspec.json.decode(data, type=Index)
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, BadDigest, RecursionError) as exc:
        raise InvalidArgument(f'the manifest of "{name}" is not valid: {exc}') from exc
    _check_layers(manifest, name)
    return manifest


def _kind(shape: _Shape, media_type: str, name: str) -> str:
    known = (*MANIFEST_TYPES, *INDEX_TYPES)
    declared = {kind for kind in (media_type, shape.media_type) if kind in known}
    if shape.manifests is not None and (shape.layers is not None or shape.config is not None):
        raise InvalidArgument(f'the manifest of "{name}" has both layers and manifests')
    if len(declared) > 1:
        raise InvalidArgument(
            f'the manifest of "{name}" calls itself "{shape.media_type}" but came as "{media_type}"'
        )
    by_shape = INDEX_TYPES if shape.manifests is not None else MANIFEST_TYPES
    kind = declared.pop() if declared else by_shape[0]
    if kind not in by_shape:
        raise InvalidArgument(f'the manifest of "{name}" does not have the fields of "{kind}"')
    return kind


def _check_layers(manifest: Manifest, name: str) -> None:
    if len(manifest.layers) > MAX_LAYERS:
        raise InvalidArgument(f'"{name}" has {len(manifest.layers)} layers, more than {MAX_LAYERS}')
    for layer in manifest.layers:
        if "foreign" in layer.media_type or "nondistributable" in layer.media_type:
            raise Unsupported(f'"{name}" has the foreign layer {layer.digest}: it is not fetched')
        if layer.media_type not in LAYER_COMPRESSION:
            raise Unsupported(f'"{name}" has a layer of the unknown type "{layer.media_type}"')
