"""Work that reports its progress, answered as lines of JSON while it goes on.

An error before the first line is an ordinary one; after it, the last line says it (Engine API,
CreateImageInfo, error).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from dockerlab.daemon.handler import ApiHandler, message_of
from dockerlab.daemon.jsonstream import Stream
from dockerlab.daemon.shapes import image as shape
from dockerlab.engine.image import PullProgress
from dockerlab.errors import DockerlabError, EngineFailure, Unauthorized

__all__ = ["Pending", "stream_progress"]

# What a piece of work has to say when it is done.
Lines = list[dict[str, Any]]


class Pending:
    """Lines of progress that the client did not get yet, bounded by layers times words.

    Of a layer that goes on downloading only the newest number is of interest: for a client that
    reads slowly it takes the place of the last one.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, int], PullProgress] = {}
        self._serial = 0
        self._is_closed = False
        self._changed = asyncio.Event()

    def add(self, progress: PullProgress) -> None:
        """Take a line; one with newer numbers takes the place of the one before."""
        key = (progress.id, progress.status, 0)
        if progress.current is None:
            self._serial += 1
            key = (progress.id, progress.status, self._serial)
        self._lines[key] = progress
        self._changed.set()

    def close(self) -> None:
        """Say that there will be no more."""
        self._is_closed = True
        self._changed.set()

    async def take(self) -> list[PullProgress]:
        """Wait for lines; none means that there will be no more."""
        while not self._lines and not self._is_closed:
            self._changed.clear()
            await self._changed.wait()
        lines = list(self._lines.values())
        self._lines.clear()
        return lines


async def stream_progress(
    handler: ApiHandler,
    start: Callable[[Callable[[PullProgress], None]], Coroutine[Any, Any, Lines | None]],
) -> None:
    """Do the work that `start` begins, and write what it reports; cancelling this cancels it.

    Parameters
    ----------
    start : callable
        Takes where progress goes; its coroutine may return what to write at the end.
    """
    pending = Pending()
    work = asyncio.ensure_future(start(pending.add))
    work.add_done_callback(lambda _: pending.close())
    stream = Stream(handler)
    is_begun = False
    try:
        while lines := await pending.take():
            if not is_begun:
                is_begun = True
                await _begin(handler, stream)
            for progress in lines:
                await stream.write_json(shape.progress_line(progress))
        for line in await work or ():
            if not is_begun:
                is_begun = True
                await _begin(handler, stream)
            await stream.write_json(line)
    except DockerlabError as exc:
        if not is_begun and isinstance(exc, Unauthorized):
            # dockerd's status. At 401 the docker client asks for a password, and for ever where
            # nobody can answer.
            raise EngineFailure(exc.message, exc.hint) from exc
        if not is_begun:
            raise
        text = message_of(exc)
        await stream.write_json({"errorDetail": {"message": text}, "error": text})
    finally:
        work.cancel()


async def _begin(handler: ApiHandler, stream: Stream) -> None:
    handler.set_header("Content-Type", "application/json")
    await stream.begin()
