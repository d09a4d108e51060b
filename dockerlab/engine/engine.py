"""The engine: one value that holds the keepers of a data root, joined.

The composition root. It knows every keeper and does nothing itself.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dockerlab.config import Settings, process_environment
from dockerlab.engine.containers import Containers
from dockerlab.engine.database import Database
from dockerlab.engine.events import Events
from dockerlab.engine.execs import Execs
from dockerlab.engine.folders import Folders
from dockerlab.engine.images import Images
from dockerlab.engine.info import System
from dockerlab.engine.pulls import Pulls, Store
from dockerlab.engine.recovery import recover
from dockerlab.engine.registries import Registries
from dockerlab.engine.roster import Roster
from dockerlab.engine.spawner import Spawner
from dockerlab.engine.start import Starter
from dockerlab.engine.unpack import ZygoteUnpacker
from dockerlab.errors import Conflict
from dockerlab.image.content import ContentStore
from dockerlab.image.layers import FolderLayers
from dockerlab.runtime.probes.asking import Host
from dockerlab.runtime.tier import choose_tier

__all__ = ["Engine"]


@dataclass(slots=True, kw_only=True)
class Engine:
    """An open data root. Its attributes satisfy the Protocols of `daemon.backend`."""

    containers: Containers
    execs: Execs
    images: Images
    pulls: Pulls
    registries: Registries
    events: Events
    system: System
    _database: Database
    _spawner: Spawner

    @classmethod
    async def open(cls, settings: Settings, hub_address: Callable[[], Awaitable[str]]) -> "Engine":
        """Open the data root, take back what runs, and undo what was half done.

        Parameters
        ----------
        hub_address : callable
            Starts the embedded hub if need be and returns its ``host:port``.

        Raises
        ------
        Conflict
            The data root belongs to another tier.
        """
        folders = Folders(settings.data_root, settings.runtime_dir)
        folders.make()
        database = Database(folders.database)
        # It forks, which only a process without threads does safely: so before there are any.
        tier = choose_tier(_host(settings))
        _check_stamp(database, settings, tier.name)
        events = Events(database)
        content, layers = ContentStore(folders.content), FolderLayers(folders.layers)
        layers.clean()
        spawner = Spawner(log_fd=2)
        roster = Roster(database)
        roster.load()
        images = Images(database, content, layers, events, roster.all)
        images.load()
        containers = Containers(roster, folders, images, events, Starter(spawner, layers))
        await recover(roster, containers, images, folders, spawner)
        store = Store(content, layers, ZygoteUnpacker(spawner))
        registries = Registries(settings, hub_address)
        return cls(
            containers=containers,
            execs=Execs(containers, events),
            images=images,
            pulls=Pulls(settings, images, events, store, registries),
            registries=registries,
            events=events,
            system=System(settings, tier, roster, images, spawner, registries),
            _database=database,
            _spawner=spawner,
        )

    @property
    def has_work(self) -> bool:
        """Tell whether the daemon must stay: something runs, waits, or is being pulled."""
        return self.containers.has_work or self.pulls.running > 0

    async def close(self) -> None:
        """Let go of containers, which go on, and close the files."""
        self.containers.close()
        self.pulls.close()
        self.events.flush()
        self._spawner.close()
        self._database.close()


def _host(settings: Settings) -> Host:
    path = process_environment().get("PATH", os.defpath)
    return Host(str(settings.data_root), sys.executable, path)


def _check_stamp(database: Database, settings: Settings, tier: str) -> None:
    """Refuse a data root that another tier or user made: its files have other owners."""
    stamp = f"{tier} uid {os.geteuid()}"
    made_by = database.meta("tier", stamp)
    if made_by != stamp:
        database.close()
        raise Conflict(
            f'the data root "{settings.data_root}" was made by tier "{made_by}", this is "{stamp}"',
            "give another one with --root",
        )
