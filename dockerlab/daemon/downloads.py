"""An archive as the body of an answer, in pieces as they come."""

from collections.abc import AsyncIterator

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.jsonstream import Stream

__all__ = ["send_archive"]


async def send_archive(handler: ApiHandler, pieces: AsyncIterator[bytes]) -> None:
    """Write the pieces of a tar archive, until the last or until the client is gone."""
    handler.set_header("Content-Type", "application/x-tar")

    async def copy() -> None:
        """Write the pieces as they come."""
        stream = Stream(handler)
        await stream.begin()
        async for piece in pieces:
            await stream.write(piece)

    await handler.while_connected(copy())
