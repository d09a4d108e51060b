"""Volumes."""

import builtins
from collections.abc import Mapping
from typing import Protocol

from dockerlab.daemon.backend.filters import Filters
from dockerlab.engine.volume import Volume, VolumePrune

__all__ = ["Volumes"]


class Volumes(Protocol):
    """The keeper of volumes."""

    def list(self, filters: Filters) -> builtins.list[Volume]:
        """By name."""
        ...

    def get(self, name: str) -> Volume:
        """Raise VolumeNotFound."""
        ...

    def create(
        self, name: str, *, driver: str, labels: Mapping[str, str], options: Mapping[str, str]
    ) -> Volume:
        """Return the new volume, or the one that is there; '' lets the engine choose a name."""
        ...

    async def remove(self, name: str, *, force: bool) -> None:
        """Raise Conflict when a container has it, VolumeNotFound without `force`."""
        ...

    async def size_bytes(self, name: str) -> int:
        """Return the bytes of its files."""
        ...

    async def prune(self, filters: Filters) -> VolumePrune:
        """Delete unused ones: the anonymous, or all of them by the filter ``all``."""
        ...
