"""A thread that waits for descriptors and calls who has asked for them.

What other threads want done is called in it too, so what a loop serves needs no locks.
"""

import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Loop"]

_TICK_S = 1.0
_COMPLAINT_S = 60.0

Handler = Callable[[int], None]


class Loop:
    """One thread, one epoll.

    Parameters
    ----------
    name : str
        Of the thread, and of its complaints.
    tick : callable
        Called about once a second while it returns True, and after the next event otherwise.
    """

    def __init__(self, name: str, tick: Callable[[], bool]) -> None:
        self._name = name
        self._tick = tick
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._paused: dict[int, int] = {}
        self._again: deque[Callable[[], None]] = deque()
        self._commands: deque[Callable[[], None]] = deque()
        self._complained_s: dict[str, float] = {}
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._wake, select.EPOLLIN, self._run_commands)
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def call(self, command: Callable[[], None]) -> None:
        """Have the loop do something soon. From any thread."""
        self._commands.append(command)
        os.eventfd_write(self._wake, 1)

    def call_and_wait(self, command: Callable[[], None]) -> None:
        """Have the loop do something, and return when it is done. From any thread but its own."""
        done = threading.Event()

        def both() -> None:
            """Do it, and tell whatever came of it."""
            try:
                command()
            finally:
                done.set()

        self.call(both)
        done.wait()

    # --------------------------------------------------------- for what runs in the loop's thread

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call the handler with the events of a descriptor."""
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def change_handler(self, fd: int, handler: Handler) -> None:
        """Have another one called from now on."""
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, before it is closed; an unknown one is fine."""
        self._paused.pop(fd, None)
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def pause(self, fd: int, events: int) -> None:
        """Look away from a descriptor until the next tick, for what it wants cannot be had now."""
        self._paused[fd] = events
        self._epoll.modify(fd, 0)

    def again(self, command: Callable[[], None]) -> None:
        """Do something in the next round, after the events of others had their turn."""
        self._again.append(command)

    def complain(self, error: Exception) -> None:
        """Write down what failed, each thing once a minute: who causes it could fill the log."""
        what, now_s = f"{type(error).__name__}: {error}", time.monotonic()
        if now_s - self._complained_s.get(what, -_COMPLAINT_S) < _COMPLAINT_S:
            return
        if len(self._complained_s) > len(self._handlers) + 100:
            self._complained_s.clear()
        self._complained_s[what] = now_s
        sys.stderr.write(f"{self._name}: {what}\n")

    # ------------------------------------------------------------------------------------------

    def _run_commands(self, _events: int) -> None:
        os.eventfd_read(self._wake)
        while self._commands:
            self._guarded(self._commands.popleft())

    def _guarded(self, command: Callable[[], None]) -> None:
        try:
            command()
        except Exception as error:  # noqa: BLE001 - one connection must not end all others
            self.complain(error)

    def _run(self) -> None:
        is_ticking, ticked_s = False, time.monotonic()
        while True:
            timeout_s = _TICK_S if is_ticking or self._paused else -1.0
            for fd, events in self._epoll.poll(0.0 if self._again else timeout_s):
                handler = self._handlers.get(fd)
                if handler is not None:  # Else one before it in this round closed it.
                    self._guarded(lambda handler=handler, events=events: handler(events))  # type: ignore[misc]
            for _ in range(len(self._again)):
                self._guarded(self._again.popleft())
            if time.monotonic() - ticked_s >= _TICK_S or not (is_ticking or self._paused):
                ticked_s = time.monotonic()
                self._resume()
                is_ticking = self._try_tick()

    def _try_tick(self) -> bool:
        try:
            return self._tick()
        except Exception as error:  # noqa: BLE001 - as in _guarded
            self.complain(error)
            return True

    def _resume(self) -> None:
        while self._paused:
            self._epoll.modify(*self._paused.popitem())
