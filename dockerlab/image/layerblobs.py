"""Blobs of layers that are made here: an archive goes in, a blob and two digests come out.

The same archive gives the same blob: gzip without a name and a time (RFC 1952, 2.3.1), one level.
Every image of the store has its layers as blobs, however it came; so whatever moves images moves
blobs.
"""

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dockerlab.errors import InvalidArgument
from dockerlab.image.content import ContentStore, NewBlob
from dockerlab.oci.descriptor import OCI_LAYER_GZIP, Descriptor
from dockerlab.oci.digest import Digest

__all__ = ["LayerBlob", "MadeLayer", "new_layer_blob"]

# A commit waits for it: the level that Docker pushes with takes four times as long and saves a
# tenth.
_LEVEL = 1
_GZIP_WBITS = 31  # zlib's deflateInit2: a gzip header and trailer, the largest window
_MAX_ARCHIVE_BYTES = 100 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeLayer:
    """A layer as a blob of the store. `archive_bytes` is the length of the archive in it."""

    descriptor: Descriptor
    diff_id: Digest
    archive_bytes: int


class LayerBlob:
    """Takes the bytes of one archive; from `new_layer_blob`."""

    def __init__(self, blob: NewBlob) -> None:
        self._blob = blob
        self._hash = hashlib.sha256()
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises
        ------
        InvalidArgument
            The archive is larger than any layer may be.
        """
        self._bytes += len(data)
        if self._bytes > _MAX_ARCHIVE_BYTES:
            raise InvalidArgument(f"the archive is larger than {_MAX_ARCHIVE_BYTES} bytes")
        self._hash.update(data)
        if packed := self._deflate.compress(data):
            self._blob.write(packed)

    def commit(self) -> MadeLayer:
        """Make the blob visible, and tell what it is."""
        self._blob.write(self._deflate.flush())
        digest = self._blob.commit()
        return MadeLayer(
            descriptor=Descriptor(media_type=OCI_LAYER_GZIP, digest=digest, size=self._blob.size),
            diff_id=Digest("sha256:" + self._hash.hexdigest()),
            archive_bytes=self._bytes,
        )


@contextmanager
def new_layer_blob(content: ContentStore) -> Iterator[LayerBlob]:
    """Begin a layer; without a commit nothing of it stays."""
    with content.new() as blob:
        yield LayerBlob(blob)
