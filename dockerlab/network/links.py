"""Bridges and the pairs of virtual cables that lead to them, by rtnetlink.

Every link of ours has the engine's mark in its name and, from its first moment, as its group: so
those of a killed engine are found, and those of others never touched. rtnetlink(7), veth(4).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import EEXIST, ENODEV
from ipaddress import IPv4Interface, IPv6Interface, ip_network
from socket import AF_INET, AF_INET6
from typing import Any, NamedTuple

from pyroute2 import IPRoute, NetlinkError

from dockerlab.errors import EngineFailure
from dockerlab.network.namespaces import inside
from dockerlab.network.pools import Address, Subnet

__all__ = [
    "Cable",
    "Interface",
    "Links",
    "bridge_name",
    "cable_name",
    "configure",
    "set_loopback_up",
]

Interface = IPv4Interface | IPv6Interface

_UP = "up"
# The loopback interface is always number 1 of a namespace.
_LOOPBACK = 1
_MAIN_TABLE = 254  # RT_TABLE_MAIN
_IFA_F_NODAD = 2
_IPV4 = 4
_LARGEST_GROUP = (1 << 31) - 1
_MARK_HEX = 5
_ID_HEX = 6


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
    return f"dl{mark[:_MARK_HEX]}-{network_id[:_ID_HEX]}"


def cable_name(mark: str, endpoint_id: str) -> str:
    """Return the name of the outer end of an endpoint's cable."""
    return f"dl{mark[:_MARK_HEX]}v{endpoint_id[:_ID_HEX]}"


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
        self._route = IPRoute()

    def close(self) -> None:
        """Close the socket; the links stay."""
        self._route.close()

    def ensure_bridge(self, name: str, addresses: Iterable[Interface], mtu: int = 0) -> None:
        """Make a bridge with its addresses and set it up; one that is there is kept.

        Raises
        ------
        EngineFailure
            The kernel refuses, or a link of somebody else has the name.
        """
        settings: dict[str, Any] = {"mtu": mtu} if mtu else {}
        with _explained(f'cannot make the bridge "{name}"'):
            with _unless(EEXIST):
                self._route.link("add", ifname=name, kind="bridge", group=self._group, **settings)
            index = self._own_index(name)
            for address in addresses:
                _add_address(self._route, index, address)
            self._route.link("set", index=index, state=_UP)

    def connect(self, cable: Cable, bridge: str, namespace: int, *, mtu: int = 0) -> None:
        """Make a cable from a bridge into a namespace; only its outer end is up then."""
        peer: dict[str, Any] = {"ifname": cable.inner, "net_ns_fd": namespace}
        settings: dict[str, Any] = {}
        if mtu:
            peer["mtu"] = settings["mtu"] = mtu
        with _explained(f'cannot connect a container to the bridge "{bridge}"'):
            master = self._own_index(bridge)
            self._route.link(
                "add", ifname=cable.outer, kind="veth", peer=peer, master=master,
                group=self._group, state=_UP, **settings,
            )  # fmt: skip

    def cable_in(self, namespace: int, name: str) -> Cable:
        """Return the cable that an interface of a namespace is the inner end of."""
        with inside(namespace), IPRoute() as route, _explained(f'cannot find "{name}"'):
            (link,) = route.link("get", ifname=name)
            number = link.get_attr("IFLA_LINK")
        outer = [link for link in self._own_links() if link["index"] == number]
        return Cable(outer[0].get_attr("IFLA_IFNAME") if outer else "", name)

    def remove(self, name: str) -> None:
        """Remove a link of ours; one that is gone already is fine.

        The end of a namespace takes the inner end of a cable along, and with it the outer one.
        """
        with _explained(f'cannot remove the link "{name}"'), _unless(ENODEV):
            self._route.link("del", index=self._own_index(name))

    def owned(self) -> list[str]:
        """Return the names of all links of this engine."""
        return [str(link.get_attr("IFLA_IFNAME")) for link in self._own_links()]

    def foreign_routes(self) -> list[Subnet]:
        """Return the destinations of this namespace's routes, but for those over links of ours."""
        own = {link["index"] for link in self._own_links()}
        return [
            ip_network((destination, route["dst_len"]))
            for route in self._route.get_routes(table=_MAIN_TABLE)
            if (destination := route.get_attr("RTA_DST")) and route.get_attr("RTA_OIF") not in own
        ]

    def _own_links(self) -> list[Any]:
        return [
            link for link in self._route.get_links() if link.get_attr("IFLA_GROUP") == self._group
        ]

    def _own_index(self, name: str) -> int:
        (link,) = self._route.link("get", ifname=name)
        if link.get_attr("IFLA_GROUP") != self._group:
            raise EngineFailure(f'the link "{name}" belongs to somebody else', "rename that link")
        return int(link["index"])


def set_loopback_up(namespace: int) -> None:
    """Set the interface "lo" of a namespace up."""
    with inside(namespace), IPRoute() as route:
        route.link("set", index=_LOOPBACK, state=_UP)


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
    with inside(namespace), IPRoute() as route, _explained(f'cannot configure "{name}"'):
        (link,) = route.link("get", ifname=rename_from or name)
        index = link["index"]
        if rename_from:
            route.link("set", index=index, ifname=name)
        if mac:
            route.link("set", index=index, address=mac)
        for address in addresses:
            _add_address(route, index, address)
        route.link("set", index=index, state=_UP)
        for gateway in gateways:
            family = AF_INET if gateway.version == _IPV4 else AF_INET6
            route.route("replace", family=family, dst="default", gateway=str(gateway), oif=index)


def _add_address(route: Any, index: int, address: Interface) -> None:
    # An address of IPv6 is not used before the kernel has asked the link whether others have it:
    # here nobody can, for the engine hands them out.
    flags = {"flags": _IFA_F_NODAD} if address.version != _IPV4 else {}
    prefix = address.network.prefixlen
    with _unless(EEXIST):
        route.addr("add", index=index, address=str(address.ip), prefixlen=prefix, **flags)


@contextmanager
def _unless(code: int) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code != code:
            raise


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        raise EngineFailure(f"{what}: {os.strerror(error.code)}") from error
