"""Who waits for the end of which container, and how they are told.

Engine API, /containers/{id}/wait: ``not-running``, ``next-exit``, ``removed``.
"""

import asyncio
from collections import defaultdict

from dockerlab.engine.container import ContainerId

__all__ = ["Waiters"]


class Waiters:
    """Futures of exit statuses."""

    def __init__(self) -> None:
        self._for_exit: dict[ContainerId, list[asyncio.Future[int]]] = defaultdict(list)
        self._for_removal: dict[ContainerId, list[asyncio.Future[int]]] = defaultdict(list)

    def add(self, container_id: ContainerId, *, until_removed: bool) -> asyncio.Future[int]:
        """Return a future of the container's next exit, or of its removal."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        (self._for_removal if until_removed else self._for_exit)[container_id].append(future)
        return future

    def exited(self, container_id: ContainerId, exit_code: int) -> None:
        """Tell those who wait for the exit."""
        _settle(self._for_exit.pop(container_id, []), exit_code)

    def removed(self, container_id: ContainerId, exit_code: int) -> None:
        """Tell everybody; nothing more will happen to the container."""
        self.exited(container_id, exit_code)
        _settle(self._for_removal.pop(container_id, []), exit_code)


def _settle(futures: list[asyncio.Future[int]], exit_code: int) -> None:
    for future in futures:
        if not future.done():  # Its client may have gone away.
            future.set_result(exit_code)
