"""Work in a thread that is never left behind: whoever is cancelled waits for its end."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_thread"]

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result], undo: Callable[[Result], object]) -> Result:
    """Do something in a thread.

    Parameters
    ----------
    work : callable
        What is done.
    undo : callable
        Takes back what was done for somebody who does not want it any more.
    """
    future = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        if not future.cancelled() and future.exception() is None:
            undo(future.result())
        raise
