"""Writing images as one archive that streams: OCI's image layout with Docker's manifest.json in it.

Layers go as they lie in the store, compressed, and each once; so the digests of manifests stay what
they are, and nothing is written to the disk on the way. The same images give the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from dockerlab.errors import NotFound
from dockerlab.image.archive.meaning import CONTAINERD_NAME, REFERENCE_NAME
from dockerlab.image.content import ContentStore
from dockerlab.image.layer.tar import DIRECTORY, REGULAR
from dockerlab.image.layer.tarwriter import TarWriter, padding
from dockerlab.oci.descriptor import OCI_INDEX, Descriptor
from dockerlab.oci.digest import Digest, digest_of, hex_of
from dockerlab.oci.manifest import Index
from dockerlab.oci.reference import Reference

__all__ = ["PortableImage", "write_archive"]

_PIECE_BYTES = 1 << 20
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class PortableImage:
    """An image all of whose parts are at hand.

    Parameters
    ----------
    manifest, config : bytes
        Its documents.
    media_type : str
        Of the manifest.
    layers : tuple of Descriptor
        Of its layers' blobs, lowest first.
    references : tuple of Reference
        The names that it goes by; none for one that was asked for by its id.
    """

    manifest: bytes
    media_type: str
    config: bytes
    layers: tuple[Descriptor, ...]
    references: tuple[Reference, ...] = ()

    @property
    def config_digest(self) -> Digest:
        """The image's id."""
        return digest_of(self.config)


class _Item(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    config: str
    repo_tags: tuple[str, ...] | None
    layers: tuple[str, ...]


def write_archive(images: Sequence[PortableImage], content: ContentStore) -> Iterator[bytes]:
    """Yield the bytes of an archive of images; synchronous, for a thread.

    Raises
    ------
    NotFound
        A layer was deleted meanwhile.
    """
    pieces: list[bytes] = []
    writer = TarWriter(pieces.append)
    for folder in (b"blobs", b"blobs/sha256"):
        writer.member(folder, DIRECTORY, mode=0o755)
    writer.file(b"oci-layout", _LAYOUT)
    writer.file(b"index.json", _index(images))
    writer.file(b"manifest.json", _docker_list(images))
    documents = {
        digest_of(data): data for image in images for data in (image.manifest, image.config)
    }
    for digest, data in documents.items():
        writer.file(_path(digest), data)
    layers = {layer.digest: layer for image in images for layer in image.layers}
    for layer in layers.values():
        writer.member(_path(layer.digest), REGULAR, mode=0o644, size=layer.size)
        yield b"".join(pieces)
        pieces.clear()
        yield from _blob(layer, content)
        pieces.append(padding(layer.size))
    writer.finish()
    yield b"".join(pieces)


def _blob(layer: Descriptor, content: ContentStore) -> Iterator[bytes]:
    try:
        file = content.path(layer.digest).open("rb")
    except FileNotFoundError as exc:
        raise NotFound(f"the layer {layer.digest} was deleted meanwhile") from exc
    left = layer.size
    with file:
        while left and (piece := file.read(min(left, _PIECE_BYTES))):
            left -= len(piece)
            yield piece
    if left:
        raise NotFound(f"the layer {layer.digest} is damaged on disk: pull the image again")


def _index(images: Sequence[PortableImage]) -> bytes:
    manifests = []
    for image in images:
        plain = Descriptor(
            media_type=image.media_type, digest=digest_of(image.manifest), size=len(image.manifest)
        )
        named = [
            msgspec.structs.replace(
                plain,
                annotations={CONTAINERD_NAME: str(reference), REFERENCE_NAME: reference.tag},
            )
            for reference in image.references
        ]
        manifests += named or [plain]
    index = Index(schema_version=2, media_type=OCI_INDEX, manifests=tuple(manifests))
    return msgspec.json.encode(index)


def _docker_list(images: Sequence[PortableImage]) -> bytes:
    items = [
        _Item(
            config=_path(image.config_digest).decode(),
            repo_tags=tuple(r.familiar for r in image.references) or None,
            layers=tuple(_path(layer.digest).decode() for layer in image.layers),
        )
        for image in images
    ]
    return msgspec.json.encode(items)


def _path(digest: Digest) -> bytes:
    return f"blobs/sha256/{hex_of(digest)}".encode()
