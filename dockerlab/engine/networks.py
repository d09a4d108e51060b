"""The keeper of networks: which there are, and the place of each running container on them.

What a network is in the kernel is the network service's (`dockerlab.network`); here is who may make
or remove one, which addresses are given, and what is told to clients.
"""

import builtins
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network

import msgspec

from dockerlab.engine import addressing
from dockerlab.engine.database import Database
from dockerlab.engine.filters import select_networks
from dockerlab.engine.network import (
    BRIDGE,
    HOST,
    NONE,
    IpamSubnet,
    Network,
    NetworkDriver,
    NetworkId,
)
from dockerlab.engine.networkplans import check_options
from dockerlab.errors import Conflict, Forbidden, NotFound
from dockerlab.network.pools import Pool, Subnet

__all__ = ["Networks"]

_PREDEFINED: tuple[tuple[str, NetworkDriver], ...] = (
    (BRIDGE, "bridge"), (HOST, "host"), (NONE, "null"),
)  # fmt: skip


class Networks:
    """All networks of a data root.

    Parameters
    ----------
    pools : sequence
        What subnets are cut from.
    routes : callable
        Returns the destinations that the host has routes to: subnets keep out of their way.
    """

    def __init__(
        self,
        database: Database,
        pools: Sequence[Pool],
        routes: Callable[[], Sequence[Subnet]],
    ) -> None:
        self._database = database
        self._pools = tuple(pools)
        self._routes = routes
        self._networks: dict[NetworkId, Network] = {}

    def load(self) -> None:
        """Read the database; the three that are always there are made on the first time."""
        self._networks = {network.id: network for network in self._database.networks()}
        names = {network.name for network in self._networks.values()}
        for name, driver in _PREDEFINED:
            if name not in names:
                self._save(self._new(name, driver))

    def avoid_collisions(self, is_used: Callable[[Network], bool]) -> None:
        """Give the default bridge another subnet where the host has got a route into its own.

        Another engine may have taken it while this one did not run; nobody has asked for it by
        its number, as for a network of one's own.
        """
        network = self.get(BRIDGE)
        subnets = [ip_network(subnet.subnet) for subnet in network.subnets]
        routes = [route for route in self._routes() if route.prefixlen]
        if is_used(network) or not any(
            a.version == b.version and a.overlaps(b) for a in subnets for b in routes
        ):
            return
        others = [n for n in self._networks.values() if n.id != network.id]
        own = [ip_network(s.subnet) for n in others for s in n.subnets]
        chosen = addressing.subnets_for(
            network.id, (), self._pools, own, routes, has_ipv6=network.has_ipv6
        )
        self._save(msgspec.structs.replace(network, subnets=chosen))

    def all(self) -> builtins.list[Network]:
        """Return every network, oldest first."""
        return sorted(self._networks.values(), key=lambda network: network.created_at)

    def list(
        self, filters: Mapping[str, Sequence[str]], used: Iterable[NetworkId] = ()
    ) -> builtins.list[Network]:
        """Return the networks that the filters admit, by name.

        Parameters
        ----------
        used : iterable
            The networks that some container is on, for the filter ``dangling``.
        """
        found = select_networks(self.all(), filters, frozenset(used))
        return sorted(found, key=lambda network: network.name)

    def get(self, name: str) -> Network:
        """Return the network that an id, a name, or the beginning of an id means.

        Raises
        ------
        NotFound
            None; Conflict when several ids begin like that.
        """
        if name in self._networks:
            return self._networks[NetworkId(name)]
        for network in self._networks.values():
            if network.name == name:
                return network
        found = [n for n in self._networks.values() if name and n.id.startswith(name)]
        if len(found) > 1:
            raise Conflict(f"network {name} is ambiguous ({len(found)} matches found based on ID)")
        if not found:
            raise NotFound(f"network {name} not found")
        return found[0]

    def find(self, name: str) -> Network | None:
        """Return the network of a name or an id, None when there is none."""
        try:
            return self.get(name)
        except (NotFound, Conflict):
            return None

    def create(self, wanted: Network) -> Network:
        """Make a network as a client describes it; id, time and what it left out are ours.

        Raises
        ------
        Conflict
            The name or the subnet is taken.
        InvalidArgument, Forbidden
            The description cannot be right, or the name is one of the three.
        """
        if any(wanted.name == name for name, _ in _PREDEFINED):
            raise Forbidden(f"operation is not permitted on predefined {wanted.name} network")
        if any(network.name == wanted.name for network in self._networks.values()):
            raise Conflict(f"network with name {wanted.name} already exists")
        network = self._new(wanted.name, wanted.driver, wanted)
        self._save(network)
        return network

    def forget(self, network: Network) -> None:
        """Take back a network that could not be made."""
        self._database.delete_network(network.id)
        del self._networks[network.id]

    def remove(self, name: str, in_use: Iterable[NetworkId]) -> Network:
        """Remove a network that nobody is on.

        Parameters
        ----------
        in_use : iterable
            The networks of running containers.

        Raises
        ------
        Forbidden
            It is one of the three, or in use.
        """
        network = self.get(name)
        if network.is_predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if network.id in set(in_use):
            raise Forbidden(
                f"error while removing network: network {network.name} has active endpoints",
                "stop the containers on it, or docker network disconnect them",
            )
        self.forget(network)
        return network

    def _new(self, name: str, driver: NetworkDriver, wanted: Network | None = None) -> Network:
        network_id = NetworkId(secrets.token_hex(32))
        base = wanted or Network(id=network_id, name=name, driver=driver, created_at=_now())
        subnets: tuple[IpamSubnet, ...] = ()
        if driver == "bridge":
            check_options(base.options)
            own = [ip_network(s.subnet) for n in self._networks.values() for s in n.subnets]
            subnets = addressing.subnets_for(
                network_id,
                base.subnets,
                self._pools,
                own,
                [route for route in self._routes() if route.prefixlen],
                has_ipv6=base.has_ipv6,
            )
        return Network(
            id=network_id,
            name=name,
            driver=driver,
            created_at=_now(),
            subnets=subnets,
            is_internal=base.is_internal,
            has_ipv6=base.has_ipv6,
            is_attachable=base.is_attachable,
            options=base.options,
            labels=base.labels,
        )

    def _save(self, network: Network) -> None:
        self._database.save_network(network)
        self._networks[network.id] = network


def _now() -> datetime:
    return datetime.now(UTC)
