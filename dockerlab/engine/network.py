"""The records of a network, and of a container's place on one.

`daemon.shapes.network` translates between these records and the API's JSON.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, NewType

import msgspec

from dockerlab.errors import InvalidArgument

__all__ = [
    "BRIDGE",
    "HOST",
    "NONE",
    "Endpoint",
    "EndpointSettings",
    "IpamSubnet",
    "Network",
    "NetworkDriver",
    "NetworkId",
    "PortBinding",
    "asked_networks",
    "check_settings",
    "ports_of",
]

NetworkId = NewType("NetworkId", str)
NetworkDriver = Literal["bridge", "host", "null"]

# The networks that every engine has; nobody can remove them.
BRIDGE, HOST, NONE = "bridge", "host", "none"
_MAX_PORT = 65535


class IpamSubnet(msgspec.Struct, frozen=True, kw_only=True):
    """A subnet of a network; addresses and subnets as texts (Engine API, IPAMConfig).

    `reserved` are addresses that somebody outside has, by a name of theirs.
    """

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    reserved: dict[str, str] = {}


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """One network."""

    id: NetworkId
    name: str
    driver: NetworkDriver
    created_at: datetime
    subnets: tuple[IpamSubnet, ...] = ()
    is_internal: bool = False
    has_ipv6: bool = False
    is_attachable: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}

    @property
    def is_predefined(self) -> bool:
        """Tell whether it is one of the three that are always there."""
        return self.name in (BRIDGE, HOST, NONE)

    @property
    def has_names(self) -> bool:
        """Tell whether its containers find each other by name: not so on the default bridge."""
        return self.driver == "bridge" and not self.is_predefined


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants of a container's place on a network; '' leaves it to the engine.

    `network` is a name, or the id that the client gave where there was no such network.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A running container's place on a network.

    `interfaces` are written as ``address/prefix``, at most one for each version of IP. On the
    networks "host" and "none" there is neither an interface nor an address.
    """

    id: str
    network_id: NetworkId
    interface: str = ""
    interfaces: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    mac: str = ""
    names: tuple[str, ...] = ()


class PortBinding(msgspec.Struct, frozen=True, kw_only=True):
    """A port of the container and the port of the host that leads to it; 0 is any free one.

    With `last_host_port` it is any free one from `host_port` to that.
    """

    port: int
    protocol: str
    host_address: str = ""
    host_port: int = 0
    last_host_port: int = 0


def asked_networks(mode: str, asked: tuple[EndpointSettings, ...]) -> tuple[EndpointSettings, ...]:
    """Return the places that a container is to have at its start.

    Parameters
    ----------
    mode : str
        Its ``NetworkMode``: the network of a container that was taken off all of its own.
    """
    if mode.startswith("container:"):
        return ()
    return asked or (EndpointSettings(network=mode),)


def check_settings(network: Network, settings: EndpointSettings) -> None:
    """Refuse what a network cannot give to an endpoint; the words are Docker's.

    Raises
    ------
    InvalidArgument
        Names on a network without names, or an address where the subnet is the engine's choice.
    """
    if settings.aliases and not network.has_names:
        raise InvalidArgument(
            "network-scoped aliases are only supported for user-defined networks",
            "make a network with docker network create, and run the container on that",
        )
    if (settings.ipv4 or settings.ipv6) and not network.has_names:
        raise InvalidArgument(
            "user specified IP address is supported on user defined networks only",
            "make a network with docker network create --subnet, and run the container on that",
        )


def ports_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and protocol of each port that ``80``, ``80/tcp`` or ``80-82/udp`` names.

    Raises
    ------
    InvalidArgument
        It names none.
    """
    numbers, _, protocol = text.partition("/")
    first, _, last = numbers.partition("-")
    protocol = (protocol or "tcp").lower()
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise InvalidArgument(f'invalid port specification: "{text}"')
    if not 0 < int(first) <= int(last or first) <= _MAX_PORT:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    if protocol not in ("tcp", "udp"):
        raise InvalidArgument(f'invalid proto: "{protocol}": ports are of tcp or of udp')
    for number in range(int(first), int(last or first) + 1):
        yield number, protocol
