"""The bytes of a blob as they arrive from a registry."""

from collections.abc import Iterator

from urllib3.exceptions import HTTPError

from dockerlab.image.registry.transport import Answer, Broken

__all__ = ["BlobStream"]

_PIECE_BYTES = 256 << 10


class BlobStream:
    """The body of one answer; iterate over it once."""

    def __init__(self, answer: Answer, skip: int) -> None:
        self._answer = answer
        self._skip = skip

    def __iter__(self) -> Iterator[bytes]:
        """Yield pieces.

        Raises
        ------
        Broken
            The connection broke off.
        """
        while True:
            try:
                piece = self._answer.read(_PIECE_BYTES, decode_content=False)
            except (HTTPError, OSError) as exc:
                raise Broken(str(exc)) from exc
            if not piece:
                return
            if self._skip:
                # The server does not know ranges and began anew.
                skipped = min(self._skip, len(piece))
                self._skip -= skipped
                piece = piece[skipped:]
            if piece:
                yield piece
