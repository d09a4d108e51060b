"""Messages of rtnetlink about links, addresses, routes and rules; and what comes back. Pure.

rtnetlink(7), veth(4), ip-rule(8); linux/if_link.h, linux/rtnetlink.h, linux/fib_rules.h.
"""

import socket
import struct
import sys
from errno import EEXIST, ENODEV, ENOENT
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from typing import NamedTuple

from dockerlab.network.netlink import (
    ACK,
    CREATE,
    EXCLUSIVE,
    REPLACE,
    Message,
    attributes,
    byte,
    data,
    nested,
    number,
    text,
)
from dockerlab.network.pools import Address, Subnet

__all__ = [
    "GET_LINK",
    "GET_ROUTE",
    "GET_RULE",
    "Interface",
    "Link",
    "Route",
    "add_address",
    "add_bridge",
    "add_cable",
    "all_links",
    "all_routes",
    "change_link",
    "default_route",
    "delete_group",
    "delete_link",
    "is_default_route",
    "isolate_port",
    "link_named",
    "prohibit",
    "prohibited",
    "read_link",
    "read_route",
]

Interface = IPv4Interface | IPv6Interface

_NEW_LINK, _DELETE_LINK, GET_LINK = 16, 17, 18
_NEW_ADDRESS, _NEW_ROUTE, GET_ROUTE = 20, 24, 26
_NEW_RULE, _DELETE_RULE, GET_RULE = 32, 33, 34

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER = 1, 3, 4, 5, 10
_IFLA_OPERSTATE, _OPERSTATE_UP = 16, b"\x06"
_IFLA_LINKINFO, _IFLA_GROUP, _IFLA_NET_NS_FD = 18, 27, 28
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_INFO_PEER, _BRPORT_ISOLATED = 1, 33
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS = 1, 2, 4, 8
_IFA_F_NODAD = 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_TABLE = 1, 4, 5, 15
_FRA_IIFNAME, _FRA_PRIORITY = 3, 6
_MAIN_TABLE, _LOCAL = 254, 2
_PROTOCOL_BOOT, _UNICAST = 3, 1
_FR_ACT_PROHIBIT = 8
# After the table of this host's own addresses (0), and before anybody's.
_PRIORITY = 1
_IFF_UP = 1
_IP_VERSION = 4
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg, and struct fib_rule_hdr


class Link(NamedTuple):
    """A link; `peer` is the number of a cable's other end; running, it takes what is sent."""

    number: int
    name: str
    group: int
    peer: int
    is_running: bool


class Route(NamedTuple):
    """A route of the main table; `link` is the number of the one that it leads over."""

    destination: Subnet
    link: int


def _link_header(index: int = 0, *, is_up: bool = False) -> bytes:
    flags = _IFF_UP if is_up else 0
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, flags)


def _mtu(mtu: int) -> bytes:
    return number(_IFLA_MTU, mtu) if mtu else b""


def _mac(mac: str) -> bytes:
    return data(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))) if mac else b""


def add_bridge(name: str, group: int, *, mac: str, mtu: int = 0) -> Message:
    """Make a bridge; one that is there is as good.

    Parameters
    ----------
    mac : str
        Without one of its own a bridge takes the lowest of its ports', so it would change, and
        neighbours would look for the old one for a while.
    """
    kind = nested(_IFLA_LINKINFO, text(_INFO_KIND, "bridge"))
    body = text(_IFLA_IFNAME, name) + number(_IFLA_GROUP, group) + _mac(mac) + _mtu(mtu) + kind
    return Message(_NEW_LINK, CREATE | EXCLUSIVE | ACK, _link_header() + body, (EEXIST,))


def add_cable(
    outer: str, inner: str, *, bridge: int, namespace: int, group: int, mtu: int = 0
) -> Message:
    """Make a pair: one end up at a bridge, the other down in a namespace."""
    end = text(_IFLA_IFNAME, inner) + number(_IFLA_NET_NS_FD, namespace) + _mtu(mtu)
    peer = data(_VETH_INFO_PEER, _link_header() + end)
    info = nested(_IFLA_LINKINFO, text(_INFO_KIND, "veth"), nested(_INFO_DATA, peer))
    body = text(_IFLA_IFNAME, outer) + number(_IFLA_MASTER, bridge) + number(_IFLA_GROUP, group)
    header = _link_header(is_up=True)
    return Message(_NEW_LINK, CREATE | EXCLUSIVE | ACK, header + body + _mtu(mtu) + info)


def isolate_port(name: str) -> Message:
    """Have a bridge pass nothing from this port to others that are isolated as well."""
    slave = nested(_INFO_SLAVE_DATA, byte(_BRPORT_ISOLATED, 1))
    info = nested(_IFLA_LINKINFO, text(_INFO_SLAVE_KIND, "bridge"), slave)
    return Message(_NEW_LINK, ACK, _link_header() + text(_IFLA_IFNAME, name) + info)


def change_link(
    index: int, *, name: str = "", mac: str = "", is_up: bool = False, is_down: bool = False
) -> Message:
    """Change a link."""
    body = (text(_IFLA_IFNAME, name) if name else b"") + _mac(mac)
    header = _LINK.pack(socket.AF_UNSPEC, 0, index, 0, _IFF_UP) if is_down else b""
    return Message(_NEW_LINK, ACK, (header or _link_header(index, is_up=is_up)) + body)


def delete_link(index: int) -> Message:
    """Delete a link; one that is gone is as good."""
    return Message(_DELETE_LINK, ACK, _link_header(index), (ENODEV,))


def delete_group(group: int) -> Message:
    """Delete all links of a group."""
    return Message(_DELETE_LINK, ACK, _link_header() + number(_IFLA_GROUP, group), (ENODEV,))


def link_named(name: str) -> bytes:
    """Return the body of a `GET_LINK` for one link."""
    return _link_header() + text(_IFLA_IFNAME, name)


def all_links() -> bytes:
    """Return the body of a `GET_LINK` for all links."""
    return _link_header()


def read_link(body: bytes) -> Link:
    """Return what a `GET_LINK` answered."""
    found = attributes(body, _LINK.size)
    return Link(
        _LINK.unpack_from(body)[2],
        _text(found[_IFLA_IFNAME]),
        _number(found.get(_IFLA_GROUP)),
        _number(found.get(_IFLA_LINK)),
        found.get(_IFLA_OPERSTATE) == _OPERSTATE_UP,
    )


def add_address(index: int, address: Interface) -> Message:
    """Give a link an address; one that it has is as good."""
    packed, prefix = address.ip.packed, address.network.prefixlen
    body = data(_IFA_LOCAL, packed) + data(_IFA_ADDRESS, packed)
    if isinstance(address, IPv4Interface):
        family = socket.AF_INET
        body += data(_IFA_BROADCAST, address.network.broadcast_address.packed)
    else:
        family = socket.AF_INET6
        # Not used before the kernel has asked the link whether others have it: nobody can, for
        # the engine hands the addresses out.
        body += number(_IFA_FLAGS, _IFA_F_NODAD)
    header = _ADDRESS.pack(family, prefix, 0, 0, index)
    return Message(_NEW_ADDRESS, CREATE | EXCLUSIVE | ACK, header + body, (EEXIST,))


def default_route(index: int, gateway: Address) -> Message:
    """Route over a link what no other route is for."""
    header = _ROUTE.pack(
        _family(gateway.version), 0, 0, 0, _MAIN_TABLE, _PROTOCOL_BOOT, 0, _UNICAST, 0
    )
    body = data(_RTA_GATEWAY, gateway.packed) + number(_RTA_OIF, index)
    return Message(_NEW_ROUTE, CREATE | REPLACE | ACK, header + body)


def all_routes() -> bytes:
    """Return the body of a `GET_ROUTE`, or a `GET_RULE`, for all of both versions."""
    return _ROUTE.pack(socket.AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0, 0)


def is_default_route(body: bytes) -> bool:
    """Tell whether a `GET_ROUTE` answered with a way for all that no other route is for."""
    family, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(body)
    is_main = table == _MAIN_TABLE and kind == _UNICAST and not length
    return family == socket.AF_INET and is_main


def read_route(body: bytes) -> Route | None:
    """Return what a `GET_ROUTE` answered; None for a default route, and for other tables'."""
    family, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(body)
    found = attributes(body, _ROUTE.size)
    if family not in (socket.AF_INET, socket.AF_INET6) or _RTA_DST not in found or not length:
        return None
    table = _number(found.get(_RTA_TABLE)) or table
    if table != _MAIN_TABLE or kind == _LOCAL:
        return None
    destination = ip_network((ip_address(found[_RTA_DST]), length), strict=False)
    return Route(destination, _number(found.get(_RTA_OIF)))


def prohibit(interface: str, version: int, *, is_removed: bool = False) -> Message:
    """Have nothing forwarded that comes in by an interface; its neighbours are not concerned.

    Parameters
    ----------
    version : int
        4 or 6, the version of IP.
    """
    header = _ROUTE.pack(_family(version), 0, 0, 0, 0, 0, 0, _FR_ACT_PROHIBIT, 0)
    body = header + number(_FRA_PRIORITY, _PRIORITY) + text(_FRA_IIFNAME, interface)
    if is_removed:
        return Message(_DELETE_RULE, ACK, body, (ENOENT,))
    return Message(_NEW_RULE, CREATE | EXCLUSIVE | ACK, body, (EEXIST,))


def prohibited(body: bytes) -> tuple[str, int] | None:
    """Return interface and version of IP of a rule that `prohibit` makes, which a `GET_RULE` gave.

    None for any other rule.
    """
    family, *_, action, _ = _ROUTE.unpack_from(body)
    found = attributes(body, _ROUTE.size)
    if action != _FR_ACT_PROHIBIT or _FRA_IIFNAME not in found:
        return None
    return _text(found[_FRA_IIFNAME]), 4 if family == socket.AF_INET else 6


def _family(version: int) -> int:
    return socket.AF_INET if version == _IP_VERSION else socket.AF_INET6


def _number(value: bytes | None) -> int:
    return int.from_bytes(value, sys.byteorder) if value else 0


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
