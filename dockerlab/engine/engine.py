"""The engine: one value that holds the keepers of a data root, joined.

The composition root. It knows every keeper and does nothing itself.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from dockerlab.config import Settings, process_environment
from dockerlab.engine.archives import Archives
from dockerlab.engine.builds import Builds
from dockerlab.engine.commit import Commits
from dockerlab.engine.connections import Connections
from dockerlab.engine.containers import Containers
from dockerlab.engine.database import Database
from dockerlab.engine.events import Events
from dockerlab.engine.execnotes import ExecNotes
from dockerlab.engine.execs import Execs
from dockerlab.engine.folders import Folders
from dockerlab.engine.healthchecks import HealthChecks
from dockerlab.engine.hostresolver import forwarded_servers
from dockerlab.engine.images import Images
from dockerlab.engine.info import System
from dockerlab.engine.keeping import Keeper
from dockerlab.engine.launching import Launching, Namespaced, Refusing
from dockerlab.engine.layersurvey import LayerSurvey
from dockerlab.engine.lives import Lives
from dockerlab.engine.logconfig import LogDefaults, check
from dockerlab.engine.networking import Networking
from dockerlab.engine.networks import Networks
from dockerlab.engine.pausing import Pausing
from dockerlab.engine.pulls import Pulls, Store
from dockerlab.engine.pushes import Pushes
from dockerlab.engine.recovery import recover
from dockerlab.engine.registries import Registries
from dockerlab.engine.resources import Resources
from dockerlab.engine.roster import Roster
from dockerlab.engine.runtimes import find_runtimes
from dockerlab.engine.spawner import Spawner
from dockerlab.engine.specs import DEFAULT_CGROUP_PARENT
from dockerlab.engine.start import Starter
from dockerlab.engine.storage import Storage
from dockerlab.engine.traced import Traced
from dockerlab.engine.transfers import Transfers
from dockerlab.engine.unpack import ZygoteUnpacker
from dockerlab.engine.volumes import Volumes
from dockerlab.errors import Conflict
from dockerlab.image.content import ContentStore
from dockerlab.image.layers import FolderLayers
from dockerlab.network.client import NetworkClient
from dockerlab.network.links import Links
from dockerlab.network.pools import DEFAULT_POOLS
from dockerlab.runtime import usernamespace
from dockerlab.runtime.holder import SOCKET_NAME
from dockerlab.runtime.launch import UserNamespace
from dockerlab.runtime.probes.asking import Host
from dockerlab.runtime.probes.programs import find
from dockerlab.runtime.tier import LOOK_ONLY, PLAIN, PTRACE, ROOTFUL, Tier, choose_tier
from dockerlab.runtime.usernamespace import Mapping

_NETWORK_SOCKET = "network.sock"

__all__ = ["Engine", "host_of", "make_spawner", "mapping_of"]


@dataclass(slots=True, kw_only=True)
class Engine:
    """An open data root. Its attributes satisfy the Protocols of `daemon.backend`."""

    archives: Archives
    builds: Builds
    commits: Commits
    containers: Containers
    execs: Execs
    images: Images
    layers: LayerSurvey
    pulls: Pulls
    registries: Registries
    events: Events
    system: System
    resources: Resources
    pushes: Pushes
    transfers: Transfers
    _lives: Lives
    volumes: Volumes
    networks: Networking
    _connections: Connections
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
        tier = choose_tier(host_of(settings))
        mapping = mapping_of(tier)
        _check_stamp(database, settings, _stamp(tier, mapping))
        events = Events(database)
        spawner = make_spawner(settings, tier, mapping)
        content, layers = ContentStore(folders.content), _make_layers(folders, spawner, mapping)
        await asyncio.to_thread(layers.clean)
        roster = Roster(database)
        roster.load()
        images = Images(database, content, layers, events, roster.all)
        images.load()
        volumes = Volumes(database, folders, events, spawner, roster.all)
        volumes.load()
        launching = _make_launching(tier, spawner, layers, folders.base)
        starter = _make_starter(settings, launching, Storage(volumes, spawner), mapping)
        networks = Networks(database, DEFAULT_POOLS, Links(_mark(settings)).foreign_routes)
        networks.load()
        connections = _make_connections(settings, mapping, networks, events, roster)
        lives = Lives(roster, folders, images, events, starter, connections)
        containers = Containers(roster, folders, images, events, starter, lives, networks)
        execs = Execs(containers, events, starter, ExecNotes(folders))
        pausing = Pausing(roster, folders, events)
        lives.observers += [pausing, execs, HealthChecks(execs, lives, roster, events)]
        await recover(roster, lives, images, folders, spawner)
        execs.take_back(roster.all())
        if tier.name not in PLAIN:
            connections.begin()
        store = Store(content, layers, _make_unpacker(spawner, tier, mapping))
        keeper = Keeper(images, store)
        registries = Registries(settings, hub_address)
        commits = Commits(containers, lives, folders, starter, keeper, pausing, events)
        pulls = Pulls(settings, images, events, store, registries)
        return cls(
            archives=Archives(containers, lives, folders, starter),
            builds=Builds.open_folder(folders, commits, pulls, roster),
            commits=commits,
            containers=containers,
            execs=execs,
            images=images,
            layers=LayerSurvey(images, layers, spawner, has_archive_marks=tier.name in PLAIN),
            pulls=pulls,
            registries=registries,
            events=events,
            system=System(settings, tier, roster, images, starter, registries, connections),
            resources=Resources(roster, folders, events, containers, pausing),
            pushes=Pushes(images, content, registries, events),
            transfers=Transfers(keeper, events),
            _lives=lives,
            volumes=volumes,
            networks=Networking(networks, connections, roster, lives, folders, events),
            _connections=connections,
            _database=database,
            _spawner=spawner,
        )

    @property
    def has_work(self) -> bool:
        """Tell whether the daemon must stay: something runs, waits, or is being pulled."""
        return self._lives.has_work or self.pulls.running > 0 or self.builds.running > 0

    async def close(self) -> None:
        """Let go of containers, which go on, and close the files."""
        self._lives.close()
        self._connections.close()
        self.pulls.close()
        self.events.flush()
        self._spawner.close()
        self._database.close()


def host_of(settings: Settings) -> Host:
    """Return what the probes are to look at."""
    path = process_environment().get("PATH", os.defpath)
    return Host(str(settings.data_root), sys.executable, path)


def mapping_of(tier: Tier) -> Mapping | None:
    """Return the ids of the user namespace that a tier has, None for a tier without one."""
    if tier.name == usernamespace.ONE_ID:
        return usernamespace.single_mapping()
    return usernamespace.find_mapping()[0] if tier.name == usernamespace.ROOTLESS else None


def make_spawner(settings: Settings, tier: Tier, mapping: Mapping | None) -> Spawner:
    """Return the way to the zygote of a data root, in the namespaces that the tier has."""
    namespace = None if mapping is None else UserNamespace(settings.runtime_dir, mapping)
    return Spawner(2, namespace, has_namespaces=tier.name not in PLAIN)


def _mark(settings: Settings) -> str:
    """Return what an engine's links and rules are known by: as its folder of sockets is."""
    return settings.runtime_dir.name


def _make_network_client(settings: Settings, mapping: Mapping | None) -> NetworkClient:
    runtime_dir = settings.runtime_dir
    holder = None if mapping is None else runtime_dir / SOCKET_NAME
    return NetworkClient(runtime_dir / _NETWORK_SOCKET, _mark(settings), 2, holder)


def _make_connections(
    settings: Settings, mapping: Mapping | None, networks: Networks, events: Events, roster: Roster
) -> Connections:
    client = _make_network_client(settings, mapping)
    shared = settings.runtime_dir.parent
    return Connections(client, networks, events, shared, roster.all, forwarded_servers)


def _make_starter(
    settings: Settings, launching: Launching, storage: Storage, mapping: Mapping | None
) -> Starter:
    return Starter(
        storage.spawner,
        launching,
        storage,
        mapping,
        _cgroup_parent(settings, mapping),
        log_defaults=_log_defaults(settings),
        runtimes=find_runtimes(settings.runtimes, is_rootless=mapping is not None),
    )


def _make_unpacker(spawner: Spawner, tier: Tier, mapping: Mapping | None) -> ZygoteUnpacker:
    return ZygoteUnpacker(spawner, is_rootless=mapping is not None, is_plain=tier.name in PLAIN)


def _make_launching(tier: Tier, spawner: Spawner, layers: FolderLayers, base: Path) -> Launching:
    if tier.name == PTRACE:
        proot = find("proot", process_environment().get("PATH", os.defpath))
        return Traced(spawner, layers, proot, tier.reason)
    if tier.name == LOOK_ONLY:
        return Refusing(spawner, layers, tier.reason)
    return Namespaced(spawner, layers, is_rootless=tier.name != ROOTFUL, base=base)


def _make_layers(folders: Folders, spawner: Spawner, mapping: Mapping | None) -> FolderLayers:
    if mapping is None:
        return FolderLayers(folders.layers)
    # Their files belong to ids that only the zygote has.
    return FolderLayers(folders.layers, spawner.remove_tree, spawner.measure_tree)


def _cgroup_parent(settings: Settings, mapping: Mapping | None) -> str:
    return settings.cgroup_parent or (DEFAULT_CGROUP_PARENT if mapping is None else "")


def _log_defaults(settings: Settings) -> LogDefaults:
    check(settings.log_driver, settings.log_options)
    return LogDefaults(settings.log_driver, settings.log_options)


def _stamp(tier: Tier, mapping: Mapping | None) -> str:
    stamp = f"{tier.name} uid {os.geteuid()}"
    return f"{stamp} {mapping.describe()}" if mapping else stamp


def _check_stamp(database: Database, settings: Settings, stamp: str) -> None:
    """Refuse a data root that another tier, user or mapping made: its files have other owners."""
    made_by = database.meta("tier", stamp)
    if made_by != stamp:
        database.close()
        raise Conflict(
            f'the data root "{settings.data_root}" was made by tier "{made_by}", this is "{stamp}"',
            'give another one with --root, or delete it with "dockerlab engine reset"',
        )
