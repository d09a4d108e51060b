"""Networks in memory, for the tests of the daemon's routes: records, and no kernel."""

# ruff: noqa: ARG002 - the methods have the parameters of the Protocols

import builtins
import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from dockerlab import errors
from dockerlab.daemon.backend import Filters
from dockerlab.engine.container import Container
from dockerlab.engine.network import EndpointSettings, IpamSubnet, Network, NetworkId

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
SUBNETS = (IpamSubnet(subnet="172.17.0.0/16", gateway="172.17.0.1"),)


def network_id(name: str) -> NetworkId:
    return NetworkId(hashlib.sha256(name.encode()).hexdigest())


def make_network(name: str, driver: str = "bridge") -> Network:
    subnets = SUBNETS if driver == "bridge" else ()
    record = {"id": network_id(name), "name": name, "driver": driver, "created_at": NOW}
    return msgspec.convert({**record, "subnets": subnets}, Network)


class MemoryNetworks:
    def __init__(self, containers: Callable[[], Iterable[Container]]) -> None:
        self._containers = containers
        predefined = (("bridge", "bridge"), ("host", "host"), ("none", "null"))
        self.records = {name: make_network(name, driver) for name, driver in predefined}
        self.asked: builtins.list[tuple[str, str, EndpointSettings]] = []
        self.left: builtins.list[tuple[str, str, bool]] = []

    def list(self, filters: Filters) -> builtins.list[Network]:
        wanted = filters.get("name", [""])
        return [n for name, n in sorted(self.records.items()) if any(w in name for w in wanted)]

    def get(self, name: str) -> Network:
        for record in self.records.values():
            if record.name == name or record.id.startswith(name):
                return record
        raise errors.NotFound(f"network {name} not found")

    def find(self, name: str) -> Network | None:
        return self.records.get(name)

    def members(self, network: Network) -> builtins.list[Container]:
        return [
            container
            for container in self._containers()
            if container.state.is_running
            and any(place.network == network.name for place in container.networks)
        ]

    async def create(self, wanted: Network) -> Network:
        if wanted.name in self.records:
            raise errors.Conflict(f"network with name {wanted.name} already exists")
        made = msgspec.structs.replace(wanted, id=network_id(wanted.name), created_at=NOW)
        self.records[made.name] = made
        return made

    async def remove(self, name: str) -> None:
        network = self.get(name)
        if network.is_predefined:
            raise errors.Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        del self.records[network.name]

    async def prune(self, filters: Filters) -> builtins.list[str]:
        names = [name for name, network in self.records.items() if not network.is_predefined]
        for name in names:
            del self.records[name]
        return names

    async def connect(self, name: str, container_name: str, settings: EndpointSettings) -> None:
        self.get(name)
        self.asked.append((name, container_name, settings))

    async def disconnect(self, name: str, container_name: str, *, force: bool) -> None:
        self.get(name)
        self.left.append((name, container_name, force))
