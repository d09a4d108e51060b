"""Subnets and addresses: which are free, and which of them is next. Pure.

A subnet is chosen from the pools of the settings, out of the way of every route that the host has;
an address is the lowest free one of its subnet, as Docker's is. Engine API, IPAMConfig.
"""

from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from dockerlab.errors import Conflict, EngineFailure

__all__ = [
    "DEFAULT_POOLS",
    "Address",
    "Pool",
    "Subnet",
    "choose_address",
    "choose_subnet",
    "local_subnet6",
]

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network

# A unique local prefix is fd and 40 random bits (RFC 4193, section 3.2).
_LOCAL6 = 0xFD << 120
_LOCAL6_BITS = 40


class Pool(NamedTuple):
    """A range that subnets of one size are cut from."""

    base: IPv4Network
    prefix: int


# Docker's own: what the text of a course shows is what its reader sees (moby, ipamutils).
DEFAULT_POOLS = (
    *(Pool(IPv4Network(f"172.{number}.0.0/16"), 16) for number in range(17, 32)),
    Pool(IPv4Network("192.168.0.0/16"), 20),
)


def choose_subnet(pools: Iterable[Pool], taken: Sequence[Subnet]) -> IPv4Network:
    """Return the first subnet of the pools that overlaps with none that is taken.

    Parameters
    ----------
    taken : sequence
        Subnets of networks and destinations of the host's routes.

    Raises
    ------
    EngineFailure
        All are taken.
    """
    busy = [other for other in taken if isinstance(other, IPv4Network)]
    for pool in pools:
        for subnet in pool.base.subnets(new_prefix=pool.prefix):
            if not any(subnet.overlaps(other) for other in busy):
                return subnet
    raise EngineFailure(
        "no subnet is free: all of the address pools overlap with networks or routes of this host",
        "remove networks that nobody uses (docker network prune), or give a --subnet",
    )


def local_subnet6(network_id: str) -> IPv6Network:
    """Return a unique local /64 for a network that asks for IPv6 without a subnet.

    Examples
    --------
    >>> local_subnet6("a").prefixlen
    64
    """
    seed = int.from_bytes(sha256(network_id.encode()).digest()[: _LOCAL6_BITS // 8])
    return IPv6Network((_LOCAL6 | seed << (120 - _LOCAL6_BITS), 64))


def choose_address(
    subnet: Subnet,
    used: Collection[Address],
    *,
    wanted: Address | None = None,
    within: Subnet | None = None,
) -> Address:
    """Return a free address of the subnet.

    Parameters
    ----------
    used : collection
        Addresses of the gateway, of endpoints, and those kept for others.
    wanted : Address, optional
        This one or none.
    within : Subnet, optional
        The part of the subnet that addresses are handed out from (``--ip-range``).

    Raises
    ------
    Conflict
        The wanted address is taken or cannot be an endpoint's, or none is free.
    """
    if wanted is not None:
        if wanted not in subnet or not _is_usable(subnet, wanted):
            raise Conflict(f"the address {wanted} is not one of the subnet {subnet}")
        if wanted in used:
            raise Conflict(f"the address {wanted} is already in use", "choose another one")
        return wanted
    for address in within or subnet:
        if _is_usable(subnet, address) and address not in used:
            return address
    raise Conflict(
        f"no address of {within or subnet} is free", "remove containers, or make a larger network"
    )


def _is_usable(subnet: Subnet, address: Address) -> bool:
    # The first address is the subnet's own name, the last one of IPv4 is everybody's.
    if subnet.num_addresses <= 2:  # noqa: PLR2004 - RFC 3021: both ends of a link of two
        return True
    is_broadcast = address.version == 4 and address == subnet.broadcast_address  # noqa: PLR2004
    return address != subnet.network_address and not is_broadcast
