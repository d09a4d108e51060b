"""A buffered stream of the uncompressed archive that computes the layer's diffID as it goes.

Knows nothing of tar.
"""

import hashlib
from collections.abc import Iterator

from dockerlab.image.layer.compression import Reader
from dockerlab.image.layer.fault import LayerFault

__all__ = ["Source"]


class Source:
    """Bytes in order, each hashed exactly once.

    Parameters
    ----------
    reader : Reader
        Gives the next piece; empty means the end.
    limit_bytes : int
        More than this is a fault.
    """

    __slots__ = ("_at", "_buffer", "_hash", "_limit", "_reader", "total_bytes")

    def __init__(self, reader: Reader, limit_bytes: int) -> None:
        self._reader = reader
        self._limit = limit_bytes
        self._hash = hashlib.sha256()
        self._buffer = b""
        self._at = 0
        self.total_bytes = 0

    def take(self, size: int) -> bytes:
        """Return exactly `size` bytes.

        Raises
        ------
        LayerFault
            The stream ends before.
        """
        end = self._at + size
        if end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            return data
        return b"".join(self.pieces(size))

    def take_block(self, size: int) -> bytes:
        """Return `size` bytes, or none at the very end of the stream."""
        if self._at == len(self._buffer) and not self._fill():
            return b""
        return self.take(size)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield `size` bytes in pieces of a convenient length."""
        while size:
            if self._at == len(self._buffer) and not self._fill():
                raise LayerFault("tar", "the archive ends early")
            piece = self._buffer[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Pass over `size` bytes; they are hashed all the same."""
        while size:
            if self._at == len(self._buffer) and not self._fill():
                raise LayerFault("tar", "the archive ends early")
            step = min(size, len(self._buffer) - self._at)
            self._at += step
            size -= step

    def drain(self) -> None:
        """Read to the end: what stands behind the archive belongs to the diffID too."""
        while self._fill():
            pass
        self._at = len(self._buffer)

    def digest(self) -> str:
        """Return the digest of everything that was read."""
        return "sha256:" + self._hash.hexdigest()

    def _fill(self) -> bool:
        self._buffer = self._reader()
        self._at = 0
        self.total_bytes += len(self._buffer)
        if self.total_bytes > self._limit:
            raise LayerFault("limit", f"the archive is larger than {self._limit} bytes")
        self._hash.update(self._buffer)
        return bool(self._buffer)
