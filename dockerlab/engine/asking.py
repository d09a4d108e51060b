"""A question to a child of the zygote, awaited: the loop goes on meanwhile."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from dockerlab.engine.spawner import Spawner, socketpair
from dockerlab.errors import Conflict, EngineFailure, Forbidden, InvalidArgument, NotFound
from dockerlab.runtime.protocol import MAX_MESSAGE_BYTES

__all__ = ["Answers", "ask", "failure"]

_KINDS = {
    "conflict": Conflict,
    "forbidden": Forbidden,
    "invalid": InvalidArgument,
    "not-found": NotFound,
}


class Answers:
    """The messages of one child, in order. Closing it lets the child go."""

    def __init__(
        self, spawner: Spawner, job: str, args: dict[str, Any], fds: Sequence[int]
    ) -> None:
        self._socket, theirs = socketpair()
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        with theirs:
            try:
                spawner.submit(job, args, [theirs.fileno(), *fds])
            except BaseException:
                self._socket.close()
                raise

    async def next(self) -> bytes:
        """Return the next message; none is the child's end."""
        return await asyncio.get_running_loop().sock_recv(self._socket, MAX_MESSAGE_BYTES)

    async def next_json(self) -> dict[str, Any]:
        """Return the next message; raise what the child says has failed.

        Raises
        ------
        NotFound, InvalidArgument, Forbidden, Conflict
            As the child classes it.
        EngineFailure
            Anything else, or it ended without a word.
        """
        data = await self.next()
        if not data:
            raise EngineFailure("the job ended without an answer", "the engine's log says why")
        message: dict[str, Any] = json.loads(data)
        if "error" in message:
            raise failure(message)
        return message

    async def end(self) -> None:
        """Wait until the child, and with it all that it had mounted, is gone."""
        while await self.next():
            pass

    def close(self) -> None:
        """Let go of the child."""
        self._socket.close()


async def ask(spawner: Spawner, job: str, args: dict[str, Any], fds: Sequence[int] = ()) -> bytes:
    """Have a job done and return what it says, nothing when it failed."""
    answers = Answers(spawner, job, args, fds)
    try:
        return await answers.next()
    finally:
        answers.close()


def failure(message: dict[str, Any]) -> Exception:
    """Return the error that a child's message speaks of."""
    kind = _KINDS.get(str(message.get("kind")), EngineFailure)
    return kind(str(message["error"]))
