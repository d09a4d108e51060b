"""The networks of running containers: given at their start, taken back at their end.

The service that makes them real is started when the first container needs it, and found again by
the next daemon; when it was killed, what running containers had is made again around the namespaces
that they still have.
"""

import asyncio
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_interface

import msgspec

from dockerlab.engine import addressing
from dockerlab.engine.container import Container, ContainerId
from dockerlab.engine.network import Endpoint, EndpointSettings, Network, PortBinding
from dockerlab.engine.networks import Networks
from dockerlab.errors import EngineFailure
from dockerlab.kernel.fds import OwnedFd
from dockerlab.network.client import NetworkClient
from dockerlab.network.messages import EndpointPlan, NetworkPlan, PortPlan, SandboxPlan
from dockerlab.network.pools import Address

__all__ = ["Attachment", "Connections"]

_INTERFACE = "eth"
_SHORT_ID = 12
_MTU_OPTION = "com.docker.network.driver.mtu"
_NEIGHBOURS_OPTION = "com.docker.network.bridge.enable_icc"
_MASQUERADE_OPTION = "com.docker.network.bridge.enable_ip_masquerade"


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a container got at its start.

    Attributes
    ----------
    namespace : OwnedFd
        For the container's first process to enter.
    endpoints : tuple of Endpoint
        In the order of their interfaces.
    ports : tuple of PortBinding
        With the ports of the host that they really have.
    """

    namespace: OwnedFd
    endpoints: tuple[Endpoint, ...]
    ports: tuple[PortBinding, ...]


class Connections:
    """Places on networks.

    Parameters
    ----------
    running : callable
        Returns the records of the containers that run.
    upstreams : callable
        Returns the addresses of the host's name servers.
    """

    def __init__(
        self,
        client: NetworkClient,
        networks: Networks,
        running: Callable[[], Iterable[Container]],
        upstreams: Callable[[], tuple[str, ...]],
    ) -> None:
        self._client = client
        self._networks = networks
        self._running = running
        self._upstreams = upstreams
        # Given, but not yet in a record: starts that are under way.
        self._given: dict[ContainerId, tuple[Endpoint, ...]] = {}
        self._lock = asyncio.Lock()

    async def attach(
        self,
        container: Container,
        settings: Sequence[EndpointSettings],
        ports: Sequence[PortBinding],
    ) -> Attachment:
        """Give a container that starts its places and its ports.

        Raises
        ------
        NotFound
            A network is gone.
        Conflict, Forbidden, InvalidArgument
            An address or a port cannot be had.
        """
        await self._ready()
        endpoints: list[Endpoint] = []
        for number, wanted in enumerate(settings):
            network = self._networks.get(wanted.network)
            has_way_out = any(endpoint.gateways for endpoint in endpoints)
            endpoint = self._assign(container, network, wanted, number, endpoints)
            if has_way_out:
                endpoint = _without_gateways(endpoint)
            endpoints.append(endpoint)
        # Before the first await: what is given here is nobody else's.
        self._given[container.id] = tuple(endpoints)
        plan = SandboxPlan(
            id=container.id,
            endpoints=tuple(_plan(endpoint) for endpoint in endpoints),
            ports=tuple(_port_plan(port) for port in ports),
            upstreams=self._upstreams_for(endpoints),
        )
        try:
            namespace, numbers = await self._client.open(plan)
        except BaseException:
            self._given.pop(container.id, None)
            raise
        real = zip(ports, numbers, strict=True)
        return Attachment(
            namespace,
            tuple(endpoints),
            tuple(msgspec.structs.replace(port, host_port=number) for port, number in real),
        )

    def settle(self, container_id: ContainerId) -> None:
        """Forget what a start was given: it is in the container's record now, or taken back."""
        self._given.pop(container_id, None)

    async def watch(self, container: Container) -> None:
        """Have the service see the container's end, for when no daemon does."""
        with suppress(ProcessLookupError):
            pidfd = OwnedFd(os.pidfd_open(container.state.pid))
            with pidfd as number:
                await self._client.watch(container.id, number)

    async def detach(self, container_id: ContainerId) -> None:
        """Take back what a container had; a service that is gone has nothing to take back."""
        self.settle(container_id)
        with suppress(EngineFailure):
            await self._client.close_sandbox(container_id)

    async def join(self, container: Container, wanted: EndpointSettings) -> Endpoint:
        """Put a running container on one more network."""
        await self._ready()
        network = self._networks.get(wanted.network)
        number = _next_interface(container.endpoints)
        endpoint = self._assign(container, network, wanted, number, ())
        if any(other.gateways for other in container.endpoints):
            endpoint = _without_gateways(endpoint)
        self._given[container.id] = (endpoint,)
        try:
            await self._client.join(container.id, _plan(endpoint))
        except BaseException:
            self.settle(container.id)
            raise
        return endpoint

    async def leave(self, container: Container, network: Network) -> None:
        """Take a running container off a network."""
        await self._ready()
        await self._client.leave(container.id, network.id)

    async def sync(self) -> None:
        """Have the service know the networks that there are now, if there is one."""
        if self._client.is_connected:
            await self._client.sync([_network_plan(n) for n in self._networks.all() if n.subnets])

    async def restore(self) -> None:
        """Find the service that containers of an earlier daemon have their networks from."""
        if any(container.endpoints for container in self._running()):
            await self._ready()

    def close(self) -> None:
        """Let go of the service."""
        self._client.close()

    # What they are made of

    async def _ready(self) -> None:
        async with self._lock:
            if self._client.is_connected:
                return
            hello = await self._client.connect()
            await self.sync()
            for container in self._running():
                if container.endpoints and container.id not in hello.sandboxes:
                    await self._reopen(container)

    async def _reopen(self, container: Container) -> None:
        """Give a running container's namespace to a service that does not know it."""
        with suppress(FileNotFoundError, ProcessLookupError):
            path = f"/proc/{container.state.pid}/ns/net"
            with OwnedFd(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as namespace:
                plan = SandboxPlan(
                    id=container.id,
                    endpoints=tuple(_plan(endpoint) for endpoint in container.endpoints),
                    ports=tuple(_port_plan(port) for port in container.ports),
                    upstreams=self._upstreams_for(container.endpoints),
                )
                own, _ = await self._client.open(plan, namespace)
                own.close()
            await self.watch(container)

    def _assign(
        self,
        container: Container,
        network: Network,
        wanted: EndpointSettings,
        number: int,
        others: Sequence[Endpoint],
    ) -> Endpoint:
        used = self._used(network, others)
        interfaces, gateways = addressing.assign(network, wanted, used)
        names = (container.name, *wanted.aliases, container.id[:_SHORT_ID])
        return Endpoint(
            id=secrets.token_hex(32),
            network_id=network.id,
            interface=f"{_INTERFACE}{number}",
            interfaces=interfaces,
            gateways=gateways,
            mac=wanted.mac or addressing.mac_of(interfaces),
            names=tuple(dict.fromkeys(names)) if network.has_names else (),
        )

    def _used(self, network: Network, others: Sequence[Endpoint]) -> set[Address]:
        recorded = [e for container in self._running() for e in container.endpoints]
        given = [e for endpoints in self._given.values() for e in endpoints]
        return {
            ip_interface(text).ip
            for endpoint in (*recorded, *given, *others)
            if endpoint.network_id == network.id
            for text in endpoint.interfaces
        }

    def _upstreams_for(self, endpoints: Iterable[Endpoint]) -> tuple[str, ...] | None:
        has_names = any(self._networks.get(e.network_id).has_names for e in endpoints)
        return self._upstreams() if has_names else None


def _network_plan(network: Network) -> NetworkPlan:
    options = network.options
    return NetworkPlan(
        id=network.id,
        interfaces=tuple(
            f"{subnet.gateway}/{subnet.subnet.rpartition('/')[2]}" for subnet in network.subnets
        ),
        is_internal=network.is_internal,
        is_masqueraded=options.get(_MASQUERADE_OPTION, "true") == "true",
        has_neighbours=options.get(_NEIGHBOURS_OPTION, "true") == "true",
        mtu=int(options.get(_MTU_OPTION, "0")),
    )


def _plan(endpoint: Endpoint) -> EndpointPlan:
    return EndpointPlan(
        network=endpoint.network_id,
        interface=endpoint.interface,
        addresses=endpoint.interfaces,
        gateways=endpoint.gateways,
        mac=endpoint.mac,
        names=endpoint.names,
    )


def _port_plan(port: PortBinding) -> PortPlan:
    return PortPlan(
        protocol=port.protocol,
        address=port.host_address,
        host_port=port.host_port,
        port=port.port,
    )


def _without_gateways(endpoint: Endpoint) -> Endpoint:
    return msgspec.structs.replace(endpoint, gateways=())


def _next_interface(endpoints: Iterable[Endpoint]) -> int:
    used = {endpoint.interface for endpoint in endpoints}
    return next(n for n in range(len(used) + 1) if f"{_INTERFACE}{n}" not in used)
