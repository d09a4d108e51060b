"""Taking an archive of images apart as it streams by: documents to memory, layers to the store.

No name of the archive ever becomes a path: what it holds is known by its names in a table. A layer
is stored once, compressed: as it came, or by us. What it all means is `meaning`'s.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from dockerlab.errors import BadDigest, InvalidArgument
from dockerlab.image.content import ContentStore
from dockerlab.image.layer import tar
from dockerlab.image.layer.compression import open_reader
from dockerlab.image.layer.fault import LayerFault, Limits, shown
from dockerlab.image.layer.source import Source
from dockerlab.image.layer.tar import TarReader
from dockerlab.image.layerblobs import new_layer_blob
from dockerlab.oci.descriptor import OCI_LAYER_GZIP, Descriptor
from dockerlab.oci.digest import Digest, digest_of, parse_digest
from dockerlab.oci.imageconfig import MAX_CONFIG_BYTES

__all__ = ["Contents", "FoundLayer", "read_archive"]

_BLOBS = "blobs/sha256/"
_MAX_MEMBERS = 100_000
_MAX_DOCUMENTS_BYTES = 64 << 20
_MAX_LINKS_IN_A_ROW = 8
_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, 2.3.1
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
_DOCUMENT_BEGINS = (b"{", b"[")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLayer:
    """A layer that is in the store now.

    Parameters
    ----------
    descriptor : Descriptor
        Of its blob, which is compressed.
    digest : Digest
        Of the bytes in the archive: the blob's where it came compressed, else the diffID.
    """

    descriptor: Descriptor
    digest: Digest


@dataclass(slots=True)
class Contents:
    """What an archive holds, by name and by digest.

    Parameters
    ----------
    documents : dict
        Name -> bytes of what begins as JSON does.
    layers : dict
        Name -> everything else.
    links : dict
        Name -> the name that it stands for.
    new_blobs : set of Digest
        What was not in the store before.
    """

    documents: dict[str, bytes] = field(default_factory=dict)
    layers: dict[str, FoundLayer] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    new_blobs: set[Digest] = field(default_factory=set)

    def document(self, name: str) -> bytes | None:
        """Return the document of a name, through links."""
        return self.documents.get(self._resolve(name))

    def layer(self, name: str) -> FoundLayer | None:
        """Return the layer of a name, through links."""
        return self.layers.get(self._resolve(name))

    def blob(self, digest: Digest) -> bytes | None:
        """Return a document of an image layout by its digest."""
        return self.document(_BLOBS + digest.removeprefix("sha256:"))

    def layer_blob(self, digest: Digest) -> FoundLayer | None:
        """Return a layer of an image layout by its digest."""
        return self.layer(_BLOBS + digest.removeprefix("sha256:"))

    def _resolve(self, name: str) -> str:
        name = posixpath.normpath(name)
        for _ in range(_MAX_LINKS_IN_A_ROW):
            if name not in self.links:
                return name
            name = self.links[name]
        raise InvalidArgument(f'"{name[:100]}" is a link to a link to a link without end')


def read_archive(fd: int, content: ContentStore, contents: Contents) -> None:
    """Read an archive to its end; synchronous, for a thread.

    Parameters
    ----------
    fd : int
        Where it comes from: plain, or compressed by gzip or zstd.
    content : ContentStore
        Gets the layers.
    contents : Contents
        Gets what is found, also before an error.

    Raises
    ------
    InvalidArgument
        No archive, a damaged one, or one with members that no archive of images has.
    BadDigest
        A blob does not have the digest that it is named by.
    """
    limits = Limits(entries=_MAX_MEMBERS)
    try:
        source = Source(open_reader(fd), limits.total_bytes)
        reader = TarReader(source, limits)
        for entry in reader:
            _take(entry, reader, content, contents)
        source.drain()
    except LayerFault as fault:
        raise InvalidArgument(f"the archive of images cannot be read: {fault.message}") from fault


def _take(entry: tar.Entry, reader: TarReader, content: ContentStore, contents: Contents) -> None:
    name = _name(entry.path)
    if entry.kind in (tar.SYMLINK, tar.HARD_LINK):
        target = _text(entry.link)
        if entry.kind == tar.SYMLINK:
            target = posixpath.join(posixpath.dirname(name), target)
        contents.links[name] = _checked(posixpath.normpath(target))
        return
    if entry.kind != tar.REGULAR:
        return  # Folders say nothing, and devices are not made.
    if entry.extents is not None:
        raise InvalidArgument(f'"{shown(entry.path)}" is stored as a sparse file')
    pieces = reader.data(entry.size)
    head = next(pieces, b"")
    if head.startswith(_DOCUMENT_BEGINS) and entry.size <= MAX_CONFIG_BYTES:
        _keep_document(name, b"".join([head, *pieces]), contents)
    else:
        _keep_layer(name, head, pieces, content, contents)


def _keep_document(name: str, data: bytes, contents: Contents) -> None:
    if sum(map(len, contents.documents.values())) + len(data) > _MAX_DOCUMENTS_BYTES:
        raise InvalidArgument(
            f"the archive of images has more than {_MAX_DOCUMENTS_BYTES} bytes of documents"
        )
    _check_named(name, digest_of(data))
    contents.documents[name] = data


def _keep_layer(
    name: str, head: bytes, pieces: Iterator[bytes], content: ContentStore, contents: Contents
) -> None:
    is_gzip = head.startswith(_GZIP_MAGIC)
    if is_gzip or head.startswith(_ZSTD_MAGIC):
        found, is_new = _store_as_it_is(name, head, pieces, content, is_gzip=is_gzip)
    else:
        found, is_new = _store_compressed(name, head, pieces, content)
    contents.layers[name] = found
    if is_new:
        contents.new_blobs.add(found.descriptor.digest)


def _store_as_it_is(
    name: str, head: bytes, pieces: Iterator[bytes], content: ContentStore, *, is_gzip: bool
) -> tuple[FoundLayer, bool]:
    with content.new() as blob:
        blob.write(head)
        for piece in pieces:
            blob.write(piece)
        digest = blob.digest
        _check_named(name, digest)
        is_new = not content.has(digest)
        blob.commit()
    media_type = OCI_LAYER_GZIP if is_gzip else OCI_LAYER_GZIP.replace("+gzip", "+zstd")
    descriptor = Descriptor(media_type=media_type, digest=digest, size=blob.size)
    return FoundLayer(descriptor=descriptor, digest=digest), is_new


def _store_compressed(
    name: str, head: bytes, pieces: Iterator[bytes], content: ContentStore
) -> tuple[FoundLayer, bool]:
    with new_layer_blob(content) as blob:
        blob.write(head)
        for piece in pieces:
            blob.write(piece)
        _check_named(name, blob.diff_id)
        made = blob.commit()
    return FoundLayer(descriptor=made.descriptor, digest=made.diff_id), made.is_new


def _check_named(name: str, digest: Digest) -> None:
    if name.startswith(_BLOBS) and parse_digest(f"sha256:{name.removeprefix(_BLOBS)}") != digest:
        raise BadDigest(f'"{name}" in the archive has the digest {digest}')


def _name(path: bytes) -> str:
    return _checked(posixpath.normpath(_text(path)))


def _checked(name: str) -> str:
    if name == ".." or name.startswith(("/", "../")):
        raise InvalidArgument(f'the archive of images has a member outside it: "{name[:100]}"')
    return name


def _text(path: bytes) -> str:
    try:
        return path.decode()
    except UnicodeDecodeError as exc:
        raise InvalidArgument(
            f'the archive of images has a member with a strange name: "{shown(path)}"'
        ) from exc
