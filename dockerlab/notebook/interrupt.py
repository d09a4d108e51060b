"""The interrupt of a kernel as an outcome: one sentence in the cell, no traceback of ours.

Clean-up is not done here: closing a pull's connection or stopping a container is the client's part.
What is left is to stop the cells that wait behind this one, which only an exception does.
"""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interrupted", "interruptible"]


class Interrupted(KeyboardInterrupt):
    """The user stopped the work of a cell, and what that left.

    It is a KeyboardInterrupt, so code that cleans up after one does so after this one.
    """

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@contextmanager
def interruptible(what: str) -> Iterator[None]:
    """Say what an interrupt of the block has stopped.

    Raises
    ------
    Interrupted
        In place of a bare KeyboardInterrupt.
    """
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {what}") from None
