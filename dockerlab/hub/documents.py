"""Manifests as a registry sees them: what they refer to, whatever they are of.

More lenient than `oci.manifest`, which reads images that are to be run: artifacts have configs and
layers of any type (image-spec/manifest.md#guidelines-for-artifact-usage).
"""

import msgspec

from dockerlab.errors import BadDigest, InvalidArgument
from dockerlab.oci.descriptor import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
)
from dockerlab.oci.digest import Digest
from dockerlab.oci.manifest import MAX_MANIFEST_BYTES

__all__ = ["Document", "parse_document"]

_MAX_REFERENCES = 10_000


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest or an index, read.

    Parameters
    ----------
    media_type : str
        What it is served as.
    blobs : tuple of Descriptor
        Config and layers, those apart that lie elsewhere.
    manifests : tuple of Descriptor
        What an index names.
    subject : Digest, optional
        The manifest that this one is about.
    artifact_type : str
        For lists of referrers.
    annotations : dict
        For the same.
    """

    media_type: str
    blobs: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Digest | None = None
    artifact_type: str = ""
    annotations: dict[str, str] = {}


class _Raw(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int
    media_type: str = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] | None = None
    manifests: tuple[Descriptor, ...] | None = None
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: dict[str, str] | None = None


def parse_document(data: bytes, media_type: str) -> Document:
    """Read a manifest.

    Parameters
    ----------
    data : bytes
        As it came.
    media_type : str
        What it came as.

    Raises
    ------
    InvalidArgument
        Too large, not of that shape, or it calls itself something else.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise InvalidArgument(f"a manifest has at most {MAX_MANIFEST_BYTES} bytes")
    try:
        raw = msgspec.json.decode(data, type=_Raw)
    except (msgspec.MsgspecError, BadDigest, RecursionError, UnicodeDecodeError) as exc:
        raise InvalidArgument(f"the manifest is not valid: {exc}") from exc
    media_type = media_type.partition(";")[0].strip()
    known = (*MANIFEST_TYPES, *INDEX_TYPES)
    if raw.media_type and media_type in known and raw.media_type != media_type:
        raise InvalidArgument(f'the manifest calls itself "{raw.media_type}", not "{media_type}"')
    is_index = raw.manifests is not None
    if is_index and (raw.layers is not None or raw.config is not None):
        # Two readers could see two images in it (CVE-2021-41190).
        raise InvalidArgument("the manifest has both layers and manifests")
    kind = media_type if media_type in known else raw.media_type
    kind = kind or (OCI_INDEX if is_index else OCI_MANIFEST)
    if (kind in INDEX_TYPES) != is_index or raw.schema_version != 2:  # noqa: PLR2004 - the schema's
        raise InvalidArgument(f'the manifest does not have the fields of "{kind}"')
    parts = (*([raw.config] if raw.config else []), *(raw.layers or ()))
    if len(parts) + len(raw.manifests or ()) > _MAX_REFERENCES:
        raise InvalidArgument(f"the manifest refers to more than {_MAX_REFERENCES} others")
    config_type = raw.config.media_type if raw.config else ""
    return Document(
        media_type=kind,
        blobs=tuple(part for part in parts if not part.urls),
        manifests=raw.manifests or (),
        subject=raw.subject.digest if raw.subject else None,
        artifact_type=raw.artifact_type or config_type,
        annotations=raw.annotations or {},
    )
