"""A small event loop: descriptors and what to call when they are ready.

asyncio would do more and cost 100 ms of import and several megabytes a monitor. See epoll(7).
"""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int], None]

__all__ = ["GONE", "READABLE", "URGENT", "WRITABLE", "Loop"]

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
# A control file has changed since it was read.
URGENT = select.EPOLLPRI
# Reported whether asked for or not: the other end is closed in both directions, or broken.
GONE = select.EPOLLHUP | select.EPOLLERR


class Loop:
    """Calls handlers with the events of their descriptors until `stop`.

    Handlers must expect events that are no longer true (the descriptor was reused within one round)
    and so work on descriptors that do not block.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._deadlines: dict[Callable[[], None], float] = {}
        self._is_stopped = False

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call `handler` when one of `events`, or `GONE`, happens; watching again replaces."""
        if fd in self._handlers:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Stop to watch; harmless when it was not watched. To be called before the close."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` once after `delay_s`; asking again for the same one moves its time."""
        self._deadlines[callback] = time.monotonic() + delay_s

    def cancel(self, callback: Callable[[], None]) -> None:
        """Forget a `call_later`; harmless when there is none."""
        self._deadlines.pop(callback, None)

    def stop(self) -> None:
        """Return from `run` after the current handler."""
        self._is_stopped = True

    def run(self) -> None:
        """Wait and call handlers until `stop`; may be called again."""
        self._is_stopped = False
        while not self._is_stopped:
            for fd, events in self._epoll.poll(self._patience_s()):
                handler = self._handlers.get(fd)
                if handler is not None:
                    handler(events)
            self._call_due()

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()

    def _patience_s(self) -> float | None:
        if not self._deadlines:
            return None
        return max(0.0, min(self._deadlines.values()) - time.monotonic())

    def _call_due(self) -> None:
        if not self._deadlines:
            return
        now = time.monotonic()
        for callback in [each for each, due in self._deadlines.items() if due <= now]:
            self._deadlines.pop(callback, None)
            callback()
