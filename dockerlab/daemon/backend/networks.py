"""Networks, and containers on them."""

import builtins
from typing import Protocol

from dockerlab.daemon.backend.filters import Filters
from dockerlab.engine.container import Container
from dockerlab.engine.network import EndpointSettings, Network

__all__ = ["Networks"]


class Networks(Protocol):
    """The keeper of networks."""

    def list(self, filters: Filters) -> builtins.list[Network]:
        """By name."""
        ...

    def get(self, name: str) -> Network:
        """Raise NotFound, or Conflict for an ambiguous beginning of an id."""
        ...

    def find(self, name: str) -> Network | None:
        """Return None when there is none."""
        ...

    def members(self, network: Network) -> builtins.list[Container]:
        """Return the running containers that are on it."""
        ...

    async def create(self, wanted: Network) -> Network:
        """Raise Conflict when its name or subnet is taken."""
        ...

    async def remove(self, name: str) -> None:
        """Raise Forbidden when a running container is on it, or it is one of the three."""
        ...

    async def prune(self, filters: Filters) -> builtins.list[str]:
        """Remove all that no running container is on; returns their names."""
        ...

    async def connect(self, name: str, container_name: str, settings: EndpointSettings) -> None:
        """Raise Forbidden when it is there already."""
        ...

    async def disconnect(self, name: str, container_name: str, *, force: bool) -> None:
        """Raise Forbidden when it is not there, but by `force`."""
        ...
