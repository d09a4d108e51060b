"""Subnets for networks and addresses for their endpoints, as records want them.

The choice itself is `network.pools`; here is what is taken: by other networks, by routes of the
host, by gateways and by endpoints.
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network

from dockerlab.engine.network import EndpointSettings, IpamSubnet, Network
from dockerlab.errors import Conflict, InvalidArgument
from dockerlab.network.pools import (
    Address,
    Pool,
    Subnet,
    choose_address,
    choose_subnet,
    local_subnet6,
)

__all__ = ["assign", "interface_name", "mac_of", "next_number", "subnets_for"]

_IPV4, _IPV6 = 4, 6


def subnets_for(
    network_id: str,
    wanted: Sequence[IpamSubnet],
    pools: Iterable[Pool],
    own: Sequence[Subnet],
    routes: Sequence[Subnet],
    *,
    has_ipv6: bool,
) -> tuple[IpamSubnet, ...]:
    """Return the subnets of a new network with their gateways.

    Parameters
    ----------
    wanted : sequence
        What the client asked for; parts of it may be empty.
    own, routes : sequence
        The subnets of other networks, and the destinations of the host's routes, which a client
        may choose all the same.

    Raises
    ------
    InvalidArgument
        A subnet, a range or a gateway cannot be right.
    Conflict
        A subnet overlaps with one that is taken.
    """
    made = [_checked(subnet, own) for subnet in wanted if subnet.subnet]
    versions = {ip_network(subnet.subnet).version for subnet in made}
    if _IPV4 not in versions:
        extra = next((subnet for subnet in wanted if not subnet.subnet), IpamSubnet(subnet=""))
        chosen = choose_subnet(pools, [*own, *routes])
        made.insert(0, _completed(chosen, extra))
    if has_ipv6 and _IPV6 not in versions:
        made.append(_completed(local_subnet6(network_id), IpamSubnet(subnet="")))
    return tuple(made)


def _checked(wanted: IpamSubnet, taken: Sequence[Subnet]) -> IpamSubnet:
    try:
        subnet = ip_network(wanted.subnet)
    except ValueError as error:
        raise InvalidArgument(f'invalid subnet "{wanted.subnet}": {error}') from error
    for other in taken:
        if other.version == subnet.version and other.prefixlen and subnet.overlaps(other):
            raise Conflict(
                f"invalid pool request: Pool overlaps with other one on this address space:"
                f" {subnet} and {other}",
                "choose another --subnet, or leave it out",
            )
    return _completed(subnet, wanted)


def _completed(subnet: Subnet, wanted: IpamSubnet) -> IpamSubnet:
    """Check what belongs to a subnet, and give it a gateway: its first address, as Docker does."""
    for text in (wanted.gateway, *wanted.reserved.values()):
        if text and _address(text) not in subnet:
            raise InvalidArgument(f'no matching subnet for "{text}": it is not in {subnet}')
    within = _range(wanted.ip_range, subnet)
    gateway = wanted.gateway or str(choose_address(subnet, (), within=within))
    return IpamSubnet(
        subnet=str(subnet),
        gateway=gateway,
        ip_range=wanted.ip_range,
        reserved=wanted.reserved,
    )


def assign(
    network: Network, settings: EndpointSettings, used: Iterable[Address]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the interfaces (``address/prefix``) and the gateways of a new endpoint.

    Parameters
    ----------
    used : iterable
        The addresses of the network's other endpoints.

    Raises
    ------
    Conflict
        A wanted address is taken, or none is free.
    InvalidArgument
        A wanted address is of no subnet.
    """
    busy, interfaces, gateways = set(used), [], []
    for version, text in ((_IPV4, settings.ipv4), (_IPV6, settings.ipv6)):
        subnets = [s for s in network.subnets if ip_network(s.subnet).version == version]
        wanted = _address(text) if text else None
        if not subnets:
            if wanted is not None:
                raise InvalidArgument(f"the network {network.name} has no IPv{version} subnet")
            continue
        choice = next((s for s in subnets if wanted and wanted in ip_network(s.subnet)), None)
        if wanted is not None and choice is None:
            raise InvalidArgument(
                f"no configured subnet contains IP address {wanted}",
                f"the network {network.name} has {', '.join(s.subnet for s in subnets)}",
            )
        choice = choice or subnets[0]
        subnet = ip_network(choice.subnet)
        kept = {_address(text) for text in (choice.gateway, *choice.reserved.values()) if text}
        address = choose_address(
            subnet, busy | kept, wanted=wanted, within=_range(choice.ip_range, subnet)
        )
        interfaces.append(f"{address}/{subnet.prefixlen}")
        gateways.append(choice.gateway)
    return tuple(interfaces), () if network.is_internal else tuple(gateways)


def mac_of(interfaces: Sequence[str]) -> str:
    """Return the hardware address that Docker gives to an IPv4 address.

    Examples
    --------
    >>> mac_of(["172.17.0.2/16"])
    '02:42:ac:11:00:02'
    """
    packed = ip_address(interfaces[0].partition("/")[0]).packed[-4:]
    return "02:42:" + packed.hex(":")


def interface_name(number: int) -> str:
    """Return what a container calls its interface of that number."""
    return f"eth{number}"


def next_number(used: Iterable[str]) -> int:
    """Return the lowest number whose name is not used.

    Examples
    --------
    >>> next_number(["eth0", "eth2"])
    1
    """
    names = set(used)
    return next(n for n in range(len(names) + 1) if interface_name(n) not in names)


def _range(text: str, subnet: Subnet) -> Subnet | None:
    if not text:
        return None
    try:
        within = ip_network(text)
    except ValueError as error:
        raise InvalidArgument(f'invalid ip-range "{text}": {error}') from error
    if within.version != subnet.version or not within.subnet_of(subnet):  # type: ignore[arg-type]
        raise InvalidArgument(f'the ip-range "{text}" is not in the subnet {subnet}')
    return within


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f'invalid address "{text}"') from error
