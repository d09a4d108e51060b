"""nftables as the kernel speaks it: tables, chains and rules as netlink messages, without nft(8).

A table of ours is replaced as a whole in one transaction, so that nothing is ever half there. A
rule is a sequence of expressions on registers, as ``nft --debug=netlink`` shows them.
linux/netfilter/nf_tables.h.
"""

import socket
import struct
from collections.abc import Iterable, Sequence
from errno import ENOENT
from ipaddress import ip_address
from typing import NamedTuple

from dockerlab.network.netlink import (
    ACK,
    CREATE,
    FILTER,
    Message,
    Netlink,
    attributes,
    data,
    nested,
    number_be,
    text,
)
from dockerlab.network.pools import Subnet

__all__ = [
    "ACCEPT",
    "DROP",
    "FORWARD",
    "MASQUERADE",
    "OUTPUT_NAT",
    "POSTROUTING",
    "Chain",
    "Hook",
    "entering",
    "established",
    "from_subnet",
    "leaving",
    "redirect",
    "replace_table",
    "tables",
    "to_port",
]

_INET, _IPV4 = 1, 2  # NFPROTO_...
_NEWTABLE, _GETTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 1, 2, 3, 6
_SUBSYSTEM = 10 << 8
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_APPEND = 0x800
# Registers: of the verdict, and of sixteen bytes each.
_VERDICT, _REGISTER, _SECOND_REGISTER = 0, 1, 2
_EQUAL, _UNEQUAL = 0, 1
_META_NFPROTO, _META_L4PROTO, _META_IIFNAME, _META_OIFNAME = 15, 16, 6, 7
_CT_STATE = 0
_ESTABLISHED, _RELATED = 2, 4  # NF_CT_STATE_BIT
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_IFNAMSIZ = 16
_IP_VERSION = 4
_DNAT = 1


class Hook(NamedTuple):
    """Where a chain begins: ``NF_INET_...`` and the priority there."""

    kind: str
    number: int
    priority: int


# linux/netfilter.h, NF_INET_...; linux/netfilter_ipv4.h, NF_IP_PRI_...
FORWARD = Hook("filter", 2, 0)
OUTPUT_NAT = Hook("nat", 3, -100)
POSTROUTING = Hook("nat", 4, 100)


class Chain(NamedTuple):
    """A chain at a hook; each rule is a sequence of expressions."""

    name: str
    hook: Hook
    rules: Sequence[bytes]


def _expression(name: str, *parts: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *parts))


def _load_meta(key: int) -> bytes:
    return _expression("meta", number_be(2, key), number_be(1, _REGISTER))


def _load_payload(base: int, offset: int, length: int) -> bytes:
    return _expression(
        "payload",
        number_be(1, _REGISTER),
        number_be(2, base),
        number_be(3, offset),
        number_be(4, length),
    )


def _compare(value: bytes, operation: int = _EQUAL) -> bytes:
    return _expression(
        "cmp", number_be(1, _REGISTER), number_be(2, operation), nested(3, data(1, value))
    )


def _mask(mask: bytes) -> bytes:
    return _expression(
        "bitwise",
        number_be(1, _REGISTER),
        number_be(2, _REGISTER),
        number_be(3, len(mask)),
        nested(4, data(1, mask)),
        nested(5, data(1, bytes(len(mask)))),
    )


def _verdict(code: int) -> bytes:
    return _expression(
        "immediate", number_be(1, _VERDICT), nested(2, nested(2, number_be(1, code)))
    )


DROP, ACCEPT = _verdict(0), _verdict(1)
MASQUERADE = _expression("masq")


def entering(interface: str) -> bytes:
    """Match what came in by an interface."""
    return _load_meta(_META_IIFNAME) + _compare(_padded(interface))


def leaving(interface: str, *, but: bool = False) -> bytes:
    """Match what goes out by an interface, or by any but that one."""
    operation = _UNEQUAL if but else _EQUAL
    return _load_meta(_META_OIFNAME) + _compare(_padded(interface), operation)


def established() -> bytes:
    """Match what belongs to a connection that is there already."""
    load = _expression("ct", number_be(2, _CT_STATE), number_be(1, _REGISTER))
    mask = struct.pack("=I", _ESTABLISHED | _RELATED)
    return load + _mask(mask) + _compare(bytes(4), _UNEQUAL)


def from_subnet(subnet: Subnet) -> bytes:
    """Match what comes from an address of a subnet."""
    family = socket.AF_INET if subnet.version == _IP_VERSION else socket.AF_INET6
    offset, length = (12, 4) if subnet.version == _IP_VERSION else (8, 16)
    return (
        _load_meta(_META_NFPROTO)
        + _compare(bytes((family,)))
        + _load_payload(_NETWORK_HEADER, offset, length)
        + _mask(subnet.netmask.packed)
        + _compare(subnet.network_address.packed)
    )


def to_port(protocol: int, address: str, port: int) -> bytes:
    """Match what goes to a port of an address of IPv4; `protocol` as in the header of IP."""
    return (
        _load_meta(_META_L4PROTO)
        + _compare(bytes((protocol,)))
        + _load_payload(_NETWORK_HEADER, 16, 4)
        + _compare(ip_address(address).packed)
        + _load_payload(_TRANSPORT_HEADER, 2, 2)
        + _compare(struct.pack("!H", port))
    )


def redirect(address: str, port: int) -> bytes:
    """Send it to another port, and bring the answers back under the one that was asked."""
    return (
        _load_immediate(_REGISTER, ip_address(address).packed)
        + _load_immediate(_SECOND_REGISTER, struct.pack("!H", port))
        + _expression(
            "nat",
            number_be(1, _DNAT),
            number_be(2, _IPV4),
            number_be(3, _REGISTER),
            number_be(5, _SECOND_REGISTER),
        )
    )


def replace_table(name: str, chains: Iterable[Chain], *, is_ipv4: bool = False) -> None:
    """Have just this table under its name, in the namespace of the calling thread.

    Parameters
    ----------
    chains : iterable
        None at all removes the table.
    is_ipv4 : bool
        A table of the family ``ip``, not ``inet``.

    Raises
    ------
    OSError
        The kernel has no nftables, or refuses; the table is as it was.
    """
    family = _IPV4 if is_ipv4 else _INET
    table = text(1, name)
    # Made first, so that there is one to delete.
    messages = [
        _message(_NEWTABLE, CREATE, family, table),
        _message(_DELTABLE, 0, family, table),
    ]
    chains = list(chains)
    if chains:
        messages.append(_message(_NEWTABLE, CREATE, family, table))
    for chain in chains:
        hook = nested(4, number_be(1, chain.hook.number), _signed(2, chain.hook.priority))
        body = table + text(3, chain.name) + hook + number_be(5, 1) + text(7, chain.hook.kind)
        messages.append(_message(_NEWCHAIN, CREATE, family, body))
        for rule in chain.rules:
            body = table + text(2, chain.name) + nested(4, rule)
            messages.append(_message(_NEWRULE, CREATE | _APPEND, family, body))
    # An error is told in any case; one answer that all is done is enough.
    messages[-1] = messages[-1]._replace(flags=messages[-1].flags | ACK)
    batch = struct.pack("!BBH", socket.AF_UNSPEC, 0, _SUBSYSTEM >> 8)
    with Netlink(FILTER) as netlink:
        netlink.ask(Message(_BATCH_BEGIN, 0, batch), *messages, Message(_BATCH_END, 0, batch))


def tables() -> list[str]:
    """Return the names of the tables of this namespace, of the families that we have tables of.

    Raises
    ------
    OSError
        The kernel has no nftables, or this process may not use it.
    """
    found = []
    with Netlink(FILTER) as netlink:
        for family in (_INET, _IPV4):
            try:
                bodies = netlink.dump(_SUBSYSTEM | _GETTABLE, struct.pack("!BBH", family, 0, 0))
            except OSError as error:
                if error.errno != ENOENT:
                    raise
                continue
            found += [attributes(body, 4)[1].rstrip(b"\0").decode() for body in bodies]
    return found


def _load_immediate(register: int, value: bytes) -> bytes:
    return _expression("immediate", number_be(1, register), nested(2, data(1, value)))


def _message(kind: int, flags: int, family: int, body: bytes) -> Message:
    return Message(_SUBSYSTEM | kind, flags, struct.pack("!BBH", family, 0, 0) + body)


def _signed(kind: int, value: int) -> bytes:
    return data(kind, struct.pack("!i", value))


def _padded(interface: str) -> bytes:
    return interface.encode().ljust(_IFNAMSIZ, b"\0")
