"""One engine of a machine at a time chooses subnets: two at once would choose the same.

The lock is on a folder that the engines of a user share; flock(2). It ends with who holds it.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dockerlab.errors import EngineFailure
from dockerlab.kernel.fds import OwnedFd

__all__ = ["choosing"]

_PAUSE_S = 0.01
_TIMEOUT_S = 20.0


@asynccontextmanager
async def choosing(folder: Path) -> AsyncIterator[None]:
    """Hold the lock in the block, from the look at the routes until the bridge is there.

    Raises
    ------
    EngineFailure
        Another engine does not let go of it.
    """
    deadline = time.monotonic() + _TIMEOUT_S
    with OwnedFd(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as number:
        while not _lock(number):
            if time.monotonic() > deadline:
                raise EngineFailure(
                    "another engine of this machine is busy with its networks for too long"
                )
            await asyncio.sleep(_PAUSE_S)
        yield


def _lock(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
