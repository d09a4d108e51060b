"""What a pull reports while it goes on."""

import msgspec

__all__ = ["PullProgress"]


class PullProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a pull, in Docker's words (``Downloading``, ``Pull complete``).

    `id` is the layer's 12 hex digits, or the tag, or ''. `current` and `total` are bytes; None
    where the line has no progress. `aux` is what a push says to programs, in place of all else.
    """

    status: str
    id: str = ""
    current: int | None = None
    total: int | None = None
    aux: dict[str, object] | None = None
