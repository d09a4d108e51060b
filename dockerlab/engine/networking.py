"""What clients do with networks and with containers on them: the verbs of ``docker network``.

The records are `engine.networks`', the places of running containers `engine.connections`'.
"""

import builtins
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from dockerlab.engine.connections import Connections
from dockerlab.engine.container import Container
from dockerlab.engine.events import Events
from dockerlab.engine.filters import select_networks
from dockerlab.engine.folders import Folders
from dockerlab.engine.isolation import donor_of
from dockerlab.engine.lives import Lives
from dockerlab.engine.managedfiles import follow_networks
from dockerlab.engine.network import (
    HOST,
    NONE,
    Endpoint,
    EndpointSettings,
    Network,
    NetworkId,
    check_settings,
)
from dockerlab.engine.networks import Networks
from dockerlab.engine.roster import Roster
from dockerlab.errors import Forbidden, InvalidArgument
from dockerlab.units import parse_moment

__all__ = ["Networking"]


class Networking:
    """The networks of an engine, for its clients."""

    def __init__(
        self,
        networks: Networks,
        connections: Connections,
        roster: Roster,
        lives: Lives,
        folders: Folders,
        events: Events,
    ) -> None:
        self._networks = networks
        self._connections = connections
        self._roster = roster
        self._lives = lives
        self._folders = folders
        self._events = events

    def list(self, filters: Mapping[str, Sequence[str]]) -> builtins.list[Network]:
        """Return the networks that the filters admit, by name."""
        return self._networks.list(filters, self._used())

    def get(self, name: str) -> Network:
        """Return the network that an id, a name, or the beginning of an id means."""
        return self._networks.get(name)

    def find(self, name: str) -> Network | None:
        """Return the network of a name or an id, None when there is none."""
        return self._networks.find(name)

    def members(self, network: Network) -> builtins.list[Container]:
        """Return the running containers that are on a network."""
        return [
            container
            for container in self._roster.all()
            if any(place.network_id == network.id for place in container.endpoints)
        ]

    async def create(self, wanted: Network) -> Network:
        """Make a network; see `Networks.create`. What the kernel refuses leaves nothing."""
        network = None
        try:
            async with self._connections.changing():
                network = self._networks.create(wanted)
        except BaseException:
            if network is not None:
                self._networks.forget(network)
            raise
        self._events.of_network(network, "create")
        return network

    async def remove(self, name: str) -> None:
        """Remove a network that no running container is on."""
        network = self._networks.remove(name, self._used())
        self._events.of_network(network, "destroy")
        await self._connections.sync()

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> builtins.list[str]:
        """Remove all networks that no running container is on; returns their names.

        Raises
        ------
        InvalidArgument
            A filter is unknown.
        """
        for key in filters.keys() - {"until", "label", "label!"}:
            raise InvalidArgument(f"invalid filter '{key}': known are label, label!, until")
        given = dict(filters)
        until = [parse_moment(text, datetime.now(UTC)) for text in given.pop("until", ())]
        used = self._used()
        unused = select_networks(self._networks.all(), {"dangling": ["true"]}, used)
        removed = [
            self._networks.remove(network.id, used)
            for network in select_networks(unused, given, used)
            if all(network.created_at < moment for moment in until)
        ]
        for network in removed:
            self._events.of_network(network, "destroy")
        if removed:
            await self._connections.sync()
        return [network.name for network in removed]

    # Containers on them

    async def connect(self, name: str, container_name: str, settings: EndpointSettings) -> None:
        """Put a container on a network, now if it runs and from its next start on.

        Raises
        ------
        Forbidden
            It is there already, or shares another's network.
        NotFound, Conflict, InvalidArgument
            There is no such network or container, or the address cannot be had.
        """
        network = self._networks.get(name)
        container_id = self._roster.get(container_name).id
        async with self._lives.steady(container_id) as container:
            _check_joins(container, network)
            if any(self._is_of(network, each.network) for each in container.networks):
                raise Forbidden(
                    f"endpoint with name {container.name} already exists in network {network.name}"
                )
            settings = msgspec.structs.replace(settings, network=network.name)
            check_settings(network, settings)
            if not container.state.is_running or not container.endpoints:
                asked = (*container.networks, settings)
                self._roster.save(msgspec.structs.replace(container, networks=asked))
                return
            place = await self._connections.join(container, settings)
            self._joined(container, settings, place)
            self._events.of_network(network, "connect", container=container.id)

    def _joined(self, before: Container, settings: EndpointSettings, place: Endpoint) -> None:
        # Ended, perhaps, meanwhile: the record is read again.
        container = self._roster.get(before.id)
        endpoints = (*container.endpoints, place) if container.endpoints else ()
        changed = msgspec.structs.replace(
            container, networks=(*container.networks, settings), endpoints=endpoints
        )
        self._roster.save(changed)
        self._connections.settle(container.id)
        follow_networks(changed, before, self._folders.container(container.id))

    async def disconnect(self, name: str, container_name: str, *, force: bool) -> None:
        """Take a container off a network.

        Parameters
        ----------
        force : bool
            One that is not there is fine.

        Raises
        ------
        Forbidden
            It is not on that network, or that is not its own to leave.
        """
        network = self._networks.get(name)
        container_id = self._roster.get(container_name).id
        async with self._lives.steady(container_id) as container:
            if container.host.network_mode == HOST:
                raise Forbidden(
                    "container cannot be disconnected from host network or connected to host"
                    " network"
                )
            rest = tuple(
                each for each in container.networks if not self._is_of(network, each.network)
            )
            is_there = any(place.network_id == network.id for place in container.endpoints)
            if len(rest) == len(container.networks) and not is_there:
                if force:
                    return
                raise Forbidden(
                    f"container {container.id} is not connected to network {network.name}"
                )
            if is_there and network.driver == "bridge":
                await self._connections.leave(container, network)
            self._left(container, network, rest)
            if is_there:
                self._events.of_network(network, "disconnect", container=container.id)

    def _left(
        self, before: Container, network: Network, rest: tuple[EndpointSettings, ...]
    ) -> None:
        container = self._roster.get(before.id)
        endpoints = tuple(e for e in container.endpoints if e.network_id != network.id)
        changed = msgspec.structs.replace(container, networks=rest, endpoints=endpoints)
        self._roster.save(changed)
        if container.endpoints:
            follow_networks(changed, container, self._folders.container(container.id))

    def _is_of(self, network: Network, name: str) -> bool:
        return name in (network.name, network.id)

    def _used(self) -> frozenset[NetworkId]:
        return frozenset(
            place.network_id for container in self._roster.all() for place in container.endpoints
        )


def _check_joins(container: Container, network: Network) -> None:
    if donor_of(container.host.network_mode):
        raise Forbidden(
            "container sharing network namespace with another container or host cannot be connected"
            " to any other network"
        )
    if HOST in (container.host.network_mode, network.name):
        raise Forbidden(
            "container cannot be disconnected from host network or connected to host network"
        )
    on = {settings.network for settings in container.networks}
    if network.name == NONE or NONE in on:
        raise Forbidden(
            "container cannot be connected to multiple networks with one of the networks in private"
            " (none) mode"
        )
