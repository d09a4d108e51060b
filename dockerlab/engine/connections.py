"""The networks of running containers: given at their start, taken back at their end.

What makes them real is the network service (`dockerlab.network`), a process that outlives this one:
it is started with the engine, found again by the next one, and started anew when it was killed;
then what running containers had is made again around the namespaces that they still have.
"""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import msgspec

from dockerlab.engine import addressing
from dockerlab.engine.container import Container, ContainerId
from dockerlab.engine.events import Events
from dockerlab.engine.hostports import choose_ports, wanted_ports
from dockerlab.engine.network import Endpoint, EndpointSettings, Network, asked_networks
from dockerlab.engine.networkplans import endpoint_plan, network_plan, sandbox_plan
from dockerlab.engine.networks import Networks
from dockerlab.engine.processend import ProcessEnd
from dockerlab.engine.subnetlock import choosing
from dockerlab.errors import Conflict, DockerlabError, EngineFailure, NotFound, StartFailure
from dockerlab.kernel.fds import OwnedFd
from dockerlab.network.client import NetworkClient
from dockerlab.network.messages import Hello
from dockerlab.network.pools import Address
from dockerlab.phases import Stopwatch

__all__ = ["Connections", "Placement"]

_log = logging.getLogger("dockerlab.engine")

_HINT = "the networks none and host (--network) need neither bridge nor service"
_SHORT_ID = 12
# How often another port of a range is tried when somebody was quicker.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Placement:
    """What a container got at its start.

    Attributes
    ----------
    container : Container
        Its record with its endpoints, in the order of their interfaces, and with its ports.
    namespace : OwnedFd
        For the container's first process to enter; closed where it makes one of its own, or none.
    """

    container: Container
    namespace: OwnedFd


class Connections:
    """Places on networks, and the connection to the service.

    Parameters
    ----------
    shared : Path
        A folder that other engines of the user have, too (`subnetlock`).
    containers : callable
        Returns the records of all containers; those that run have endpoints.
    upstreams : callable
        Returns the addresses of the host's name servers.

    Attributes
    ----------
    hello : Hello or None
        What the service said of itself last.
    failure : str
        Why there is none, '' when there is or was.
    """

    def __init__(
        self,
        client: NetworkClient,
        networks: Networks,
        events: Events,
        shared: Path,
        containers: Callable[[], Iterable[Container]],
        upstreams: Callable[[], tuple[str, ...]],
    ) -> None:
        self._client = client
        self._networks = networks
        self._events = events
        self._shared = shared
        self._containers = containers
        self._upstreams = upstreams
        # Given, but not yet in a record: starts that are under way.
        self._given: dict[ContainerId, tuple[Endpoint, ...]] = {}
        self._lock = asyncio.Lock()
        self._leaving: dict[ContainerId, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._service: ProcessEnd | None = None
        self.failure = ""
        self.hello: Hello | None = None

    # What a start needs

    @asynccontextmanager
    async def placed(self, container: Container, stopwatch: Stopwatch) -> AsyncIterator[Placement]:
        """Give a container its places for a start in the block, and take them back if it fails.

        Raises
        ------
        StartFailure
            As `attach`.
        """
        begin = time.monotonic()
        place = await self.attach(container)
        stopwatch.add("network", begin, time.monotonic())
        try:
            yield place
        except BaseException:
            self.detach_later(place.container)
            raise
        finally:
            place.namespace.close()

    async def attach(self, container: Container) -> Placement:
        """Give a container that starts its places and its ports.

        Raises
        ------
        StartFailure
            A network is gone, an address or a port cannot be had, or the service fails.
        """
        try:
            asked = asked_networks(container.host.network_mode, container.networks)
            if all(self._networks.get(each.network).driver != "bridge" for each in asked):
                return Placement(self._without_links(container, asked), OwnedFd(-1))
            await self.ready()
            if leaving := self._leaving.get(container.id):
                await asyncio.wait({leaving})  # What its last run had is still being taken back.
            return await self._attach(container, asked)
        except StartFailure:
            raise
        except DockerlabError as error:
            hint = error.hint or (_HINT if isinstance(error, EngineFailure) else "")
            raise StartFailure(error.message, step="network", hint=hint) from error

    def _without_links(self, container: Container, asked: Sequence[EndpointSettings]) -> Container:
        endpoints = tuple(
            Endpoint(id=secrets.token_hex(32), network_id=self._networks.get(each.network).id)
            for each in asked
        )
        return msgspec.structs.replace(container, endpoints=endpoints)

    async def _attach(self, container: Container, asked: Sequence[EndpointSettings]) -> Placement:
        endpoints: list[Endpoint] = []
        for number, wanted in enumerate(asked):
            network = self._networks.get(wanted.network)
            has_way_out = any(endpoint.gateways for endpoint in endpoints)
            endpoint = self._assign(container, network, wanted, number, endpoints)
            gateways = () if has_way_out else endpoint.gateways
            endpoints.append(msgspec.structs.replace(endpoint, gateways=gateways))
        # Before the first await: what is given here is nobody else's.
        self._given[container.id] = tuple(endpoints)
        placed = msgspec.structs.replace(container, endpoints=tuple(endpoints))
        try:
            return await self._open(placed)
        except BaseException:
            self._given.pop(container.id, None)
            raise

    async def _open(self, container: Container) -> Placement:
        wanted = wanted_ports(container)
        attempts = _ATTEMPTS if any(port.last_host_port for port in wanted) else 1
        while True:
            attempts -= 1
            placed = msgspec.structs.replace(container, ports=choose_ports(wanted))
            plan = sandbox_plan(placed, self._upstreams_for(placed, placed.endpoints))
            try:
                namespace, numbers = await self._client.open(plan)
            except Conflict:
                if not attempts:
                    raise
                continue
            except EngineFailure:
                if self._client.is_connected:
                    raise
                await self.ready()  # It was killed since it was asked last.
                namespace, numbers = await self._client.open(plan)
            ports = tuple(
                msgspec.structs.replace(port, host_port=number)
                for port, number in zip(placed.ports, numbers, strict=True)
            )
            return Placement(msgspec.structs.replace(placed, ports=ports), namespace)

    def started(self, container: Container) -> None:
        """Note that what a start was given is in the container's record now; tell who listens."""
        self.settle(container.id)
        if _has_links(container):  # The service sees its end, for when no daemon does.
            self._later(self._watch(container))
        self._tell(container, "connect")

    def ended(self, container: Container) -> None:
        """Take back what a container had while it ran."""
        self.detach_later(container)
        self._tell(container, "disconnect")

    def _tell(self, container: Container, action: str) -> None:
        for place in container.endpoints:
            with suppress(NotFound):
                network = self._networks.get(place.network_id)
                self._events.of_network(network, action, container=container.id)

    def settle(self, container_id: ContainerId) -> None:
        """Forget what a start was given: it is in the container's record now, or taken back."""
        self._given.pop(container_id, None)

    async def _watch(self, container: Container) -> None:
        try:
            with OwnedFd(os.pidfd_open(container.state.pid)) as number:
                await self._client.watch(container.id, number)
        except (ProcessLookupError, DockerlabError):
            return  # It has ended already, which this engine sees itself.

    def detach_later(self, container: Container) -> None:
        """Take back what a container had; a service that is gone has nothing to take back.

        Nobody waits for it: to take links away takes the kernel longer than to start a container.
        """
        self.settle(container.id)
        if _has_links(container):
            self._leaving[container.id] = self._later(self._detach(container.id))

    async def _detach(self, container_id: ContainerId) -> None:
        with suppress(EngineFailure):
            await self._client.close_sandbox(container_id)
        del self._leaving[container_id]

    # Changes while a container runs

    async def join(self, container: Container, wanted: EndpointSettings) -> Endpoint:
        """Put a running container on one more network; `settle` when that is written down."""
        await self.ready()
        network = self._networks.get(wanted.network)
        number = addressing.next_number(e.interface for e in container.endpoints)
        endpoint = self._assign(container, network, wanted, number, ())
        if any(other.gateways for other in container.endpoints):
            endpoint = msgspec.structs.replace(endpoint, gateways=())
        self._given[container.id] = (endpoint,)
        upstreams = self._upstreams_for(container, (endpoint,))
        try:
            await self._client.join(container.id, endpoint_plan(endpoint), upstreams)
        except BaseException:
            self.settle(container.id)
            raise
        return endpoint

    async def leave(self, container: Container, network: Network) -> None:
        """Take a running container off a network."""
        await self.ready()
        await self._client.leave(container.id, network.id)

    # The service

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Make a change of the networks in the block, and have the service follow it."""
        await self.ready()
        async with choosing(self._shared):
            yield
            await self.sync()

    async def sync(self) -> None:
        """Have the service know the networks that there are now, if there is one."""
        if self._client.is_connected:
            plans = [network_plan(n) for n in self._networks.all() if n.subnets]
            await self._client.sync(plans)

    def begin(self) -> None:
        """Find the service of an earlier engine, or start one, so that no start waits for it."""
        self._later(self._begin())

    async def _begin(self) -> None:
        self.failure = ""
        try:
            await self.ready()
        except (DockerlabError, OSError) as error:
            self.failure = str(error)
            _log.warning("containers have no bridge networks: %s", error)

    async def ready(self) -> None:
        """Return when the service is there and knows what this engine knows."""
        async with self._lock:
            if self._client.is_connected:
                return
            self.hello = await self._client.connect()
            self._service = ProcessEnd(self.hello.pid, self._service_ended)
            async with choosing(self._shared):
                self._networks.avoid_collisions(self._is_used)
                await self.sync()
            running = {c.id: c for c in self._containers() if _has_links(c)}
            for name in self.hello.sandboxes:
                if name not in running and name not in self._given:
                    await self._client.close_sandbox(name)  # A start that no engine has ended.
            for container in running.values():
                if container.id not in self.hello.sandboxes:
                    await self._reopen(container)

    async def _reopen(self, container: Container) -> None:
        """Give a running container's namespace to a service that does not know it."""
        path = f"/proc/{container.state.pid}/ns/net"
        try:
            with OwnedFd(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as namespace:
                plan = sandbox_plan(container, self._upstreams_for(container, container.endpoints))
                own, _ = await self._client.open(plan, namespace)
            own.close()
        except (OSError, DockerlabError) as error:
            _log.warning("container %s has lost its network: %s", container.id[:12], error)
            return
        await self._watch(container)

    def _service_ended(self) -> None:
        _log.warning("the network service was killed; it is started again")
        # What depends on it must not wait for the next start.
        self._later(self._revive())

    async def _revive(self) -> None:
        with suppress(EngineFailure):
            await self.sync()  # Whereby the client notices, too.
        await self._begin()

    def close(self) -> None:
        """Let go of the service: it goes on while containers need it."""
        for task in self._background:
            task.cancel()
        if self._service is not None:
            self._service.close()
        self._client.close()

    # What they are made of

    def _upstreams_for(
        self, container: Container, endpoints: Iterable[Endpoint]
    ) -> tuple[str, ...] | None:
        """Return the name servers behind the engine's own, None where a container has not that."""
        if not any(self._networks.get(e.network_id).has_names for e in endpoints):
            return None
        return container.host.dns or self._upstreams()

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
        names += (container.config.hostname,) if container.config.hostname else ()
        return Endpoint(
            id=secrets.token_hex(32),
            network_id=network.id,
            interface=addressing.interface_name(number),
            interfaces=interfaces,
            gateways=gateways,
            mac=wanted.mac or addressing.mac_of(interfaces),
            names=tuple(dict.fromkeys(names)) if network.has_names else (),
        )

    def _used(self, network: Network, others: Sequence[Endpoint]) -> set[Address]:
        recorded = [e for container in self._containers() for e in container.endpoints]
        given = [e for endpoints in self._given.values() for e in endpoints]
        return {
            ip_interface(text).ip
            for endpoint in (*recorded, *given, *others)
            if endpoint.network_id == network.id
            for text in endpoint.interfaces
        }

    def _is_used(self, network: Network) -> bool:
        places = [e for container in self._containers() for e in container.endpoints]
        return any(place.network_id == network.id for place in places)

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _has_links(container: Container) -> bool:
    return any(endpoint.interface for endpoint in container.endpoints)
