"""Bridges and the pairs of virtual cables that lead to them.

Every link of ours has the engine's mark in its name and, from its first moment, as its group: so
those of a killed engine are found, and those of others never touched.
"""

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import ENODEV
from typing import NamedTuple

from dockerlab.errors import EngineFailure
from dockerlab.network import rtnetlink
from dockerlab.network.namespaces import inside
from dockerlab.network.netlink import Netlink
from dockerlab.network.pools import Address, Subnet
from dockerlab.network.rtnetlink import Interface, Link

__all__ = [
    "Cable",
    "Interface",
    "Links",
    "bridge_name",
    "cable_name",
    "configure",
    "is_bridge",
    "set_loopback_up",
]

# The loopback interface is always number 1 of a namespace.
_LOOPBACK = 1
_LARGEST_GROUP = (1 << 31) - 1
_MARK_HEX = 5
_ID_HEX = 6
_IPV6 = 6
_RUNNING_TIMEOUT_S = 0.2
_RUNNING_POLL_S = 0.0002
_SYSCTL = "/proc/sys/net/ipv6/conf/"


class Cable(NamedTuple):
    """A pair of virtual interfaces: one end at a bridge, the other in a container's namespace."""

    outer: str
    inner: str


def bridge_name(mark: str, network_id: str) -> str:
    """Return the name of a network's bridge, at most 15 bytes (IFNAMSIZ).

    Parameters
    ----------
    mark : str
        The engine's, in hexadecimal.
    """
    return f"{_prefix(mark)}-{network_id[:_ID_HEX]}"


def cable_name(mark: str, endpoint_id: str) -> str:
    """Return the name of the outer end of an endpoint's cable."""
    return f"{_prefix(mark)}v{endpoint_id[:_ID_HEX]}"


def is_bridge(name: str) -> bool:
    """Tell whether a link of ours is a bridge, by its name."""
    return "-" in name


class Links:
    """The links of one engine in the namespace of the thread that makes this.

    Parameters
    ----------
    mark : str
        The engine's own eight hexadecimal digits.
    """

    def __init__(self, mark: str) -> None:
        # Zero is the group of all other links.
        self._group = int(mark, 16) & _LARGEST_GROUP | 1
        self._prefix = _prefix(mark)
        self._netlink = Netlink()

    def close(self) -> None:
        """Close the socket; the links stay."""
        self._netlink.close()

    def ensure_bridge(self, name: str, addresses: Sequence[Interface], mtu: int = 0) -> None:
        """Make a bridge with its addresses and set it up; one that is there is kept.

        Raises
        ------
        EngineFailure
            The kernel refuses, or a link of somebody else has the name.
        """
        with _explained(f'cannot make the bridge "{name}"'):
            mac = f"02:42:{secrets.token_hex(4)}"
            self._netlink.ask(rtnetlink.add_bridge(name, self._group, mac=mac, mtu=mtu))
            index = self._own_index(name)
            # Before it is up, so that it never has an address, or a router, that nobody gave it.
            _set_ipv6(name, is_on=any(a.version == _IPV6 for a in addresses))
            self._netlink.ask(
                *(rtnetlink.add_address(index, address) for address in addresses),
                rtnetlink.change_link(index, is_up=True),
            )

    def connect(
        self, cable: Cable, bridge: str, namespace: int, *, mtu: int = 0, is_isolated: bool = False
    ) -> None:
        """Make a cable from a bridge into a namespace; only its outer end is up then.

        Parameters
        ----------
        is_isolated : bool
            Nothing passes between this cable and others of the bridge that are isolated.
        """
        with _explained(f'cannot connect a container to the bridge "{bridge}"'):
            messages = [
                rtnetlink.add_cable(
                    cable.outer, cable.inner, bridge=self._own_index(bridge),
                    namespace=namespace, group=self._group, mtu=mtu,
                )
            ]  # fmt: skip
            if is_isolated:
                messages.append(rtnetlink.isolate_port(cable.outer))
            self._netlink.ask(*messages)

    def cable_in(self, namespace: int, name: str) -> Cable:
        """Return the cable that an interface of a namespace is the inner end of."""
        with _explained(f'cannot find "{name}"'), inside(namespace), Netlink() as netlink:
            body = netlink.get(rtnetlink.GET_LINK, rtnetlink.link_named(name))
            peer = rtnetlink.read_link(body).peer
        outer = [link.name for link in self._own_links() if link.number == peer]
        return Cable(outer[0] if outer else "", name)

    def wait_until_running(self, *names: str) -> None:
        """Wait until links of ours pass what is sent over them, for a moment at most.

        A bridge and a cable's outer end learn in the kernel's own time that the inner one is up,
        and drop what comes before: a container's first question to its neighbours would be asked
        again a second later.
        """
        until_s = time.monotonic() + _RUNNING_TIMEOUT_S
        for name in names:
            with _explained(f'cannot see the link "{name}"'):
                while time.monotonic() < until_s and not self._is_running(name):
                    time.sleep(_RUNNING_POLL_S)

    def remove(self, name: str) -> None:
        """Remove a link of ours; one that is gone already is fine.

        The end of a namespace takes the inner end of a cable along, and with it the outer one.
        """
        with _explained(f'cannot remove the link "{name}"'):
            try:
                index = self._own_index(name)
            except OSError as error:
                if error.errno == ENODEV:
                    return
                raise
            self._netlink.ask(rtnetlink.delete_link(index))

    def remove_all(self) -> None:
        """Remove every link of this engine, at once."""
        with _explained("cannot remove the links of the networks"):
            self._netlink.ask(rtnetlink.delete_group(self._group))

    def owned(self) -> list[str]:
        """Return the names of all links of this engine."""
        return [link.name for link in self._own_links()]

    def shut_in(self, bridges: Collection[tuple[str, int]]) -> None:
        """Have nothing forwarded that comes from just these bridges, by the kernel's own rules.

        That keeps networks apart where there is no firewall, even on a host that routes.

        Parameters
        ----------
        bridges : collection of (str, int)
            Names, and versions of IP.
        """
        with _explained("cannot keep networks apart"):
            bodies = self._netlink.dump(rtnetlink.GET_RULE, rtnetlink.all_routes())
            ours = {
                rule
                for body in bodies
                if (rule := rtnetlink.prohibited(body)) and rule[0].startswith(self._prefix + "-")
            }
            self._netlink.ask(
                *(rtnetlink.prohibit(*rule, is_removed=True) for rule in ours - set(bridges)),
                *(rtnetlink.prohibit(*rule) for rule in set(bridges) - ours),
            )

    def foreign_routes(self) -> list[Subnet]:
        """Return the destinations of this namespace's routes, but for those over links of ours."""
        with _explained("cannot read the routes of this host"):
            own = {link.number for link in self._own_links()}
            bodies = self._netlink.dump(rtnetlink.GET_ROUTE, rtnetlink.all_routes())
        routes = [route for body in bodies if (route := rtnetlink.read_route(body))]
        return [
            route.destination
            for route in routes
            if route.link not in own and not route.destination.is_link_local
        ]

    def has_default_route(self) -> bool:
        """Tell whether something leads out of this namespace."""
        with _explained("cannot read the routes of the engine"):
            bodies = self._netlink.dump(rtnetlink.GET_ROUTE, rtnetlink.all_routes())
        return any(rtnetlink.is_default_route(body) for body in bodies)

    def _is_running(self, name: str) -> bool:
        body = self._netlink.get(rtnetlink.GET_LINK, rtnetlink.link_named(name))
        return rtnetlink.read_link(body).is_running

    def _own_links(self) -> Iterator[Link]:
        for body in self._netlink.dump(rtnetlink.GET_LINK, rtnetlink.all_links()):
            link = rtnetlink.read_link(body)
            if link.group == self._group:
                yield link

    def _own_index(self, name: str) -> int:
        link = rtnetlink.read_link(
            self._netlink.get(rtnetlink.GET_LINK, rtnetlink.link_named(name))
        )
        if link.group != self._group:
            raise EngineFailure(f'the link "{name}" belongs to somebody else', "rename that link")
        return link.number


def set_loopback_up(namespace: int) -> None:
    """Set the interface "lo" of a namespace up."""
    with inside(namespace), Netlink() as netlink:
        netlink.ask(rtnetlink.change_link(_LOOPBACK, is_up=True))


def configure(
    namespace: int,
    name: str,
    addresses: Iterable[Interface],
    gateways: Sequence[Address] = (),
    *,
    mac: str = "",
    rename_from: str = "",
) -> None:
    """Give an interface of a namespace its addresses, set it up, and route over it.

    Parameters
    ----------
    gateways : sequence
        Ways out, at most one for each version of IP; they replace those that there are.
    rename_from : str
        What the interface is called now, where that is not `name`.
    """
    addresses = list(addresses)
    with _explained(f'cannot configure "{name}"'), inside(namespace), Netlink() as netlink:
        index = socket.if_nametoindex(rename_from or name)
        if rename_from:
            # Kernels before 6.2 rename only what is down.
            netlink.ask(rtnetlink.change_link(index, is_down=True))
            netlink.ask(rtnetlink.change_link(index, name=name))
        _set_ipv6(name, is_on=any(a.version == _IPV6 for a in addresses))
        netlink.ask(
            rtnetlink.change_link(index, mac=mac, is_up=True),
            *(rtnetlink.add_address(index, address) for address in addresses),
            *(rtnetlink.default_route(index, gateway) for gateway in gateways),
        )


def _prefix(mark: str) -> str:
    return f"dl{mark[:_MARK_HEX]}"


def _set_ipv6(name: str, *, is_on: bool) -> None:
    """Switch IPv6 of a link of the calling thread's namespace, as who engineers the network says.

    An interface without an address of IPv6 would give itself one (RFC 4862), by which containers
    would reach the host and each other past the addresses that they are known by.
    """
    settings = {"disable_ipv6": "0" if is_on else "1"}
    if is_on:
        settings |= {"accept_ra": "0", "accept_dad": "0"}
    for setting, value in settings.items():
        # A kernel without IPv6, or a /proc/sys that cannot be written, as in many a container.
        with contextlib.suppress(OSError):
            fd = os.open(f"{_SYSCTL}{name}/{setting}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineFailure(f"{what}: {error.strerror}") from error
