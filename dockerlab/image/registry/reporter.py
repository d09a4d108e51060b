"""The lines that a pull reports, in Docker's words, and not more often than eyes can follow."""

import threading
import time
from collections.abc import Callable

from dockerlab.image.progress import PullProgress
from dockerlab.oci.digest import short

__all__ = ["Reporter"]

_LEAST_INTERVAL_S = 0.1


class Reporter:
    """Passes progress on; its users are several threads, `emit` is called by one at a time."""

    def __init__(
        self, emit: Callable[[PullProgress], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._lock = threading.Lock()
        self._last_s: dict[tuple[str, str], float] = {}

    def begin(self, repository: str, target: str) -> None:
        """Report the first line; `target` is the tag, or the name with the digest."""
        with self._lock:
            self._emit(PullProgress(status=f"Pulling from {repository}", id=target))

    def say(self, status: str, digest: str) -> None:
        """Report a line about a layer, without numbers."""
        with self._lock:
            self._emit(PullProgress(status=status, id=short(digest)))

    def count(self, status: str, digest: str, current: int, total: int) -> None:
        """Report bytes, unless the last report of the same kind was a moment ago."""
        now = self._clock()
        with self._lock:
            last = self._last_s.get((status, digest))
            if last is not None and now - last < _LEAST_INTERVAL_S and current < total:
                return
            self._last_s[status, digest] = now
            self._emit(PullProgress(status=status, id=short(digest), current=current, total=total))
