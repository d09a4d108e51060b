"""The networks of one engine: what the service has, and its verbs.

One thread makes links and answers requests; `ports` and `resolver` have threads of their own, so
that neither bytes nor names wait for the kernel to make a link. Read `Service.open`.
"""

import os
import secrets
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_interface

from dockerlab.errors import Conflict, EngineFailure, NotFound
from dockerlab.kernel.fds import OwnedFd
from dockerlab.network import links as linking
from dockerlab.network import namespaces
from dockerlab.network.firewall import Rule, choose_firewall
from dockerlab.network.forwarding import allow_forwarding
from dockerlab.network.links import Cable, Links
from dockerlab.network.messages import (
    VERSION,
    EndpointPlan,
    Hello,
    NetworkPlan,
    PortPlan,
    SandboxPlan,
)
from dockerlab.network.names import Names
from dockerlab.network.outside import Outside
from dockerlab.network.pools import Address
from dockerlab.network.ports import Ports, Target
from dockerlab.network.resolver import Resolver, listen
from dockerlab.network.sandbox import Endpoint, Prepared, Sandbox
from dockerlab.network.uplink import Uplink

__all__ = ["Service"]

# Namespaces that wait for a container, on the network that was used last.
_PREPARED = 2
_INTERFACE = "eth0"
_IPV6 = 6
# A port there leads to nobody (RFC 5737).
_NOWHERE = ip_address("192.0.2.0")


class Service:
    """Networks and sandboxes of the engine with this mark."""

    def __init__(self, mark: str, outside: Outside, links: Links, uplink: Uplink) -> None:
        self._mark = mark
        self._outside = outside
        self._links = links
        self._uplink = uplink
        self._firewall = choose_firewall(mark)
        self._names = Names()
        self._ports = Ports()
        self._resolver = Resolver(self._names, outside)
        self._networks: dict[str, NetworkPlan] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._prepared: list[Prepared] = []
        # What is prepared for: the network that was used last, and whether with a name server.
        self._latest = ("", False)

    @property
    def is_idle(self) -> bool:
        """Tell whether nobody's container has its network from here."""
        return not self._sandboxes

    def hello(self) -> Hello:
        """Say what there is."""
        return Hello(
            version=VERSION,
            pid=os.getpid(),
            firewall=self._firewall.name,
            lack=self._firewall.lack,
            sandboxes=tuple(self._sandboxes),
            uplink=self._uplink.name,
            uplink_lack=self._uplink.lack,
        )

    # --------------------------------------------------------------------------------- networks

    def sync(self, plans: Sequence[NetworkPlan]) -> None:
        """Have just these networks, and no bridge of this engine beside theirs.

        Cables are left alone: they end with the namespace that they lead to, and one whose
        namespace lives is a container's, which a new service has not been told of yet.
        """
        networks = {plan.id: plan for plan in plans}
        wanted = {self._bridge(network_id) for network_id in networks}
        known, self._networks = self._networks, networks
        if self._latest[0] not in networks:
            self._latest = (next(iter(networks), ""), False)
        self._drop_prepared(lambda p: networks.get(p.network) != known.get(p.network))
        for name in self._links.owned():
            if linking.is_bridge(name) and name not in wanted:
                self._links.remove(name)
        for plan in plans:
            interfaces = [ip_interface(text) for text in plan.interfaces]
            self._links.ensure_bridge(self._bridge(plan.id), interfaces, plan.mtu)
        self._apply_rules()

    def _apply_rules(self) -> None:
        rules = [
            Rule(
                bridge=self._bridge(plan.id),
                subnets=tuple(ip_interface(text).network for text in plan.interfaces),
                is_internal=plan.is_internal,
                is_masqueraded=plan.is_masqueraded,
                has_neighbours=plan.has_neighbours,
            )
            for plan in self._networks.values()
        ]
        self._firewall.apply(rules)
        versions = {(r.bridge, subnet.version) for r in rules for subnet in r.subnets}
        # Without rules that keep networks apart, nothing is routed between them.
        self._links.shut_in(() if self._firewall.name else versions)
        if self._firewall.name and rules:
            allow_forwarding(has_ipv6=any(version == _IPV6 for _, version in versions))

    # -------------------------------------------------------------------------------- sandboxes

    def open(self, plan: SandboxPlan, namespace: OwnedFd | None = None) -> list[int]:
        """Give a container its network; returns the ports of the host that it got.

        Parameters
        ----------
        namespace : OwnedFd, optional
            One that has its links already: only names and ports are made.

        Raises
        ------
        Conflict, Forbidden, InvalidArgument
            A port cannot be published.
        EngineFailure
            The kernel refuses.
        """
        if plan.id in self._sandboxes:
            raise Conflict(f"the network of container {plan.id} is open already")
        self._prepare_for(plan)
        listeners = [self._outside.listener(p.protocol, p.address, p.host_port) for p in plan.ports]
        try:
            if namespace is None:
                sandbox = self._begin(plan)
            else:
                sandbox = Sandbox(plan.id, namespace, upstreams=plan.upstreams)
            sandbox.ports = plan.ports
            self._sandboxes[plan.id] = sandbox
            for endpoint in plan.endpoints:
                if namespace is not None:
                    self._register(
                        sandbox,
                        endpoint,
                        self._links.cable_in(namespace.number, endpoint.interface),
                    )
                elif endpoint.network not in sandbox.endpoints:
                    self._join(sandbox, endpoint)
            self._serve_names(sandbox)
            for port, listener in zip(plan.ports, listeners, strict=True):
                self._ports.publish(plan.id, listener, self._target(sandbox, port))
        except BaseException:
            for listener in listeners:
                listener.close()
            self.close(plan.id)
            raise
        return [listener.getsockname()[1] for listener in listeners]

    def namespace(self, sandbox_id: str) -> int:
        """Return the descriptor of a sandbox's namespace, which stays the service's."""
        return self._sandbox(sandbox_id).namespace.number

    def watch(self, sandbox_id: str, pidfd: OwnedFd) -> None:
        """Keep the descriptor of a process with whose end the sandbox closes (see `ended`)."""
        self._sandbox(sandbox_id).pidfd = pidfd

    def watched(self) -> list[tuple[int, str]]:
        """Return the descriptors to look at, and whose they are."""
        return [
            (sandbox.pidfd.number, sandbox.id)
            for sandbox in self._sandboxes.values()
            if sandbox.pidfd is not None
        ]

    def connect(
        self, sandbox_id: str, plan: EndpointPlan, upstreams: tuple[str, ...] | None = None
    ) -> None:
        """Put a running container on one more network.

        Parameters
        ----------
        upstreams : tuple of str, optional
            As in `SandboxPlan`, for a container that had no name server.
        """
        sandbox = self._sandbox(sandbox_id)
        if plan.network in sandbox.endpoints:
            raise Conflict(f"container {sandbox_id} is on that network already")
        self._join(sandbox, plan)
        if sandbox.upstreams is None:
            sandbox.upstreams = upstreams
        self._follow(sandbox)

    def leave(self, sandbox_id: str, network: str) -> None:
        """Take a running container off a network."""
        sandbox = self._sandbox(sandbox_id)
        endpoint = sandbox.endpoints.pop(network, None)
        if endpoint is None:
            raise NotFound(f"container {sandbox_id} is not on that network")
        self._unregister(endpoint)
        self._links.remove(endpoint.cable.outer)
        self._follow(sandbox)

    def close(self, sandbox_id: str) -> None:
        """Take back all that a container's network was; one that is not open is fine.

        With the last descriptor of the namespace the kernel removes its links, in its own time.
        """
        sandbox = self._sandboxes.pop(sandbox_id, None)
        if sandbox is None:
            return
        self._ports.withdraw(sandbox.id)
        self._resolver.withdraw(sandbox.id)
        for endpoint in sandbox.endpoints.values():
            self._unregister(endpoint)
        for owned in (sandbox.namespace, sandbox.pidfd):
            if owned is not None:
                owned.close()

    def prepare(self) -> bool:
        """Make one namespace ahead where one is lacking; True when there may be more to do."""
        network, has_names = self._latest
        if network not in self._networks or len(self._prepared) >= _PREPARED:
            return False
        namespace = OwnedFd(-1)
        try:
            namespace = namespaces.make()
            linking.set_loopback_up(namespace.number)
            cable = self._lay_cable(network, namespace.number, _INTERFACE)
            # Up before it has an address, so that the bridge knows it when it gets one.
            linking.configure(namespace.number, _INTERFACE, ())
            sockets = listen(namespace.number) if has_names else None
        except (EngineFailure, OSError) as error:
            namespace.close()
            sys.stderr.write(f"no namespace is prepared: {error}\n")
            return False
        self._prepared.append(Prepared(network, namespace, cable, sockets))
        return True

    def end(self) -> None:
        """Remove every link and rule of this engine."""
        self._drop_prepared(lambda _: True)
        self._networks = {}
        for step in (self._apply_rules, self._links.remove_all):
            try:
                step()
            except EngineFailure as error:
                sys.stderr.write(f"networks are left behind: {error.message}\n")

    # ------------------------------------------------------------------- what they are made of

    def _begin(self, plan: SandboxPlan) -> Sandbox:
        """Return a sandbox with its first endpoint where one was prepared, else an empty one."""
        first = plan.endpoints[0] if plan.endpoints else None
        for prepared in self._prepared:
            if first and first.network == prepared.network:
                self._prepared.remove(prepared)
                sandbox = Sandbox(plan.id, prepared.namespace, upstreams=plan.upstreams)
                sandbox.sockets = prepared.sockets
                self._finish(sandbox, first, prepared.cable)
                return sandbox
        sandbox = Sandbox(plan.id, namespaces.make(), upstreams=plan.upstreams)
        linking.set_loopback_up(sandbox.namespace.number)
        return sandbox

    def _prepare_for(self, plan: SandboxPlan) -> None:
        """Have the next container of this kind find a namespace that waits for it."""
        if not plan.endpoints:
            return
        latest = (plan.endpoints[0].network, plan.upstreams is not None)
        if latest != self._latest:
            network, has_names = self._latest = latest
            self._drop_prepared(lambda p: p.network != network or (has_names and p.sockets is None))

    def _join(self, sandbox: Sandbox, plan: EndpointPlan) -> None:
        if plan.network not in self._networks:
            raise NotFound(f"the network {plan.network} is not there")
        namespace = sandbox.namespace.number
        cable = self._lay_cable(plan.network, namespace, plan.interface)
        self._finish(sandbox, plan, cable)

    def _lay_cable(self, network: str, namespace: int, interface: str) -> Cable:
        cable = Cable(linking.cable_name(self._mark, secrets.token_hex(8)), interface)
        plan = self._networks[network]
        is_isolated = not plan.has_neighbours
        self._links.connect(
            cable, self._bridge(network), namespace, mtu=plan.mtu, is_isolated=is_isolated
        )
        return cable

    def _finish(self, sandbox: Sandbox, plan: EndpointPlan, cable: Cable) -> None:
        linking.configure(
            sandbox.namespace.number,
            plan.interface,
            [ip_interface(text) for text in plan.addresses],
            [ip_address(text) for text in plan.gateways],
            mac=plan.mac,
            rename_from=cable.inner if cable.inner != plan.interface else "",
        )
        self._links.wait_until_running(cable.outer, self._bridge(plan.network))
        self._register(sandbox, plan, cable)

    def _register(self, sandbox: Sandbox, plan: EndpointPlan, cable: Cable) -> None:
        sandbox.endpoints[plan.network] = Endpoint(plan, cable)
        self._names.add(plan.network, plan.names, _addresses(plan))

    def _unregister(self, endpoint: Endpoint) -> None:
        plan = endpoint.plan
        self._names.remove(plan.network, plan.names, _addresses(plan))

    def _follow(self, sandbox: Sandbox) -> None:
        """Have names and ports follow a change of a container's networks."""
        self._serve_names(sandbox)
        if sandbox.ports:
            targets = [self._target(sandbox, port) for port in sandbox.ports]
            self._ports.aim(sandbox.id, targets)

    def _serve_names(self, sandbox: Sandbox) -> None:
        if sandbox.upstreams is None:
            if sandbox.sockets is not None:
                sandbox.sockets.close()
            return
        networks = tuple(sandbox.endpoints)
        plans = [plan for network in networks if (plan := self._networks.get(network))]
        is_shut_in = all(plan.is_internal for plan in plans)
        # What an internal network's container asks must not leave by way of the host either.
        upstreams = () if is_shut_in else sandbox.upstreams
        sockets, sandbox.sockets = sandbox.sockets, None
        self._resolver.serve(
            sandbox.id, lambda: sockets or listen(sandbox.namespace.number), networks, upstreams
        )

    def _target(self, sandbox: Sandbox, port: PortPlan) -> Target:
        version = ip_address(port.address or "0.0.0.0").version  # noqa: S104 - a text, no socket
        found = [a for e in sandbox.endpoints.values() for a in _addresses(e.plan)]
        same = [address for address in found if address.version == version]
        # A container that has left its last network listens on itself alone.
        return Target(sandbox.namespace, str((same or found or [_NOWHERE])[0]), port.port)

    def _drop_prepared(self, is_unwanted: Callable[[Prepared], bool]) -> None:
        for prepared in [p for p in self._prepared if is_unwanted(p)]:
            self._prepared.remove(prepared)
            prepared.close()

    def _bridge(self, network_id: str) -> str:
        return linking.bridge_name(self._mark, network_id)

    def _sandbox(self, sandbox_id: str) -> Sandbox:
        if sandbox_id not in self._sandboxes:
            raise NotFound(f"container {sandbox_id} has no network that could be changed")
        return self._sandboxes[sandbox_id]


def _addresses(plan: EndpointPlan) -> list[Address]:
    return [ip_interface(text).ip for text in plan.addresses]
