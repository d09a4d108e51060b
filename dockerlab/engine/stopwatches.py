"""The phases of the last runs and pulls: kept a while, also after a container's removal."""

from collections import OrderedDict

from dockerlab.phases import Phase, Stopwatch

__all__ = ["Stopwatches"]

_KEPT = 1000


class Stopwatches:
    """One stopwatch a name; the oldest are forgotten."""

    def __init__(self) -> None:
        self._watches: OrderedDict[str, Stopwatch] = OrderedDict()

    def begin(self, name: str) -> Stopwatch:
        """Return a new stopwatch under `name`, in place of an older one."""
        self._watches.pop(name, None)
        self._watches[name] = Stopwatch()
        if len(self._watches) > _KEPT:
            self._watches.popitem(last=False)
        return self._watches[name]

    def of(self, name: str) -> Stopwatch:
        """Return the stopwatch of `name`, a new one when there is none."""
        return self._watches.get(name) or self.begin(name)

    def phases(self, name: str) -> list[Phase]:
        """Return the phases by their beginning; empty when the name is unknown."""
        watch = self._watches.get(name)
        return sorted(watch.phases, key=lambda phase: phase.begin_s) if watch else []

    def names(self) -> list[str]:
        """Return the names, oldest first."""
        return list(self._watches)
