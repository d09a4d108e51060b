"""All keepers of one engine, its events and what it says of itself."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from dockerlab.daemon.backend.containers import Archives, Containers, Execs, Resources
from dockerlab.daemon.backend.filters import Filters
from dockerlab.daemon.backend.images import (
    Builds,
    Commits,
    Images,
    Layers,
    Pulls,
    Pushes,
    Registries,
    Transfers,
)
from dockerlab.daemon.backend.networks import Networks
from dockerlab.daemon.backend.volumes import Volumes
from dockerlab.engine.event import Event
from dockerlab.engine.system import EngineInfo

__all__ = ["Engine", "Events", "System"]


class Events(Protocol):
    """The stream of what happened."""

    def stream(
        self, *, since: datetime | None, until: datetime | None, filters: Filters
    ) -> AsyncIterator[Event]:
        """Iterate over recorded events from `since` on, then live ones; `until` None: for ever."""
        ...


class System(Protocol):
    """Facts about the engine and the host."""

    def info(self) -> EngineInfo:
        """Collect them now."""
        ...


class Engine(Protocol):
    """All keepers of one engine."""

    @property
    def containers(self) -> Containers:
        """The keeper of containers."""
        ...

    @property
    def builds(self) -> Builds:
        """The keeper of builds."""
        ...

    @property
    def execs(self) -> Execs:
        """The keeper of exec instances."""
        ...

    @property
    def images(self) -> Images:
        """The keeper of images."""
        ...

    @property
    def layers(self) -> Layers:
        """What looks into images."""
        ...

    @property
    def pulls(self) -> Pulls:
        """The keeper of pulls."""
        ...

    @property
    def registries(self) -> Registries:
        """The keeper of registries."""
        ...

    @property
    def resources(self) -> Resources:
        """The keeper of what containers may use, and do use."""
        ...

    @property
    def events(self) -> Events:
        """The stream of what happened."""
        ...

    @property
    def system(self) -> System:
        """Facts about the engine and the host."""
        ...

    @property
    def volumes(self) -> Volumes:
        """The keeper of volumes."""
        ...

    @property
    def networks(self) -> Networks:
        """The keeper of networks."""
        ...

    @property
    def archives(self) -> Archives:
        """The files of containers."""
        ...

    @property
    def commits(self) -> Commits:
        """What makes images of containers."""
        ...

    @property
    def transfers(self) -> Transfers:
        """Images into archives and out of them."""
        ...

    @property
    def pushes(self) -> Pushes:
        """What brings images to registries."""
        ...

    @property
    def has_work(self) -> bool:
        """Whether something goes on that an idle exit would disturb."""
        ...

    async def close(self) -> None:
        """Let go of everything; containers go on."""
        ...
