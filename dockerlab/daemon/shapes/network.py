"""Network records as the API shows them, and a client's JSON for a new one.

Engine API, Network, NetworkCreate, EndpointSettings.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_interface
from typing import Any

import msgspec

from dockerlab.daemon.shapes.moment import rfc3339
from dockerlab.engine.container import NEVER, Container
from dockerlab.engine.network import (
    Endpoint,
    EndpointSettings,
    IpamSubnet,
    Network,
    NetworkId,
    PortBinding,
)
from dockerlab.errors import Forbidden, InvalidArgument, NotFound, Unsupported

__all__ = [
    "ConnectBody",
    "DisconnectBody",
    "EndpointBody",
    "NetworkBody",
    "checked_mac",
    "endpoint",
    "endpoint_settings",
    "network",
    "port_map",
    "ports",
    "wanted_network",
]

Json = dict[str, Any]

_IPV4, _IPV6 = 4, 6
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


class _IpamConfigBody(msgspec.Struct, kw_only=True, rename="pascal"):
    subnet: str = ""
    ip_range: str = msgspec.field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: dict[str, str] | None = None


class _IpamBody(msgspec.Struct, kw_only=True, rename="pascal"):
    driver: str = ""
    config: list[_IpamConfigBody] | None = None


class NetworkBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The body of ``POST /networks/create``."""

    name: str = ""
    driver: str = ""
    internal: bool | None = None
    attachable: bool | None = None
    ingress: bool | None = None
    config_only: bool | None = None
    enable_ipv6: bool | None = msgspec.field(default=None, name="EnableIPv6")
    ipam: _IpamBody | None = msgspec.field(default=None, name="IPAM")
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class _AddressesBody(msgspec.Struct, kw_only=True, rename="pascal"):
    ipv4_address: str | None = msgspec.field(default=None, name="IPv4Address")
    ipv6_address: str | None = msgspec.field(default=None, name="IPv6Address")


class EndpointBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """``EndpointSettings`` as a client sends it."""

    ipam_config: _AddressesBody | None = msgspec.field(default=None, name="IPAMConfig")
    aliases: list[str] | None = None
    links: list[str] | None = None
    mac_address: str | None = None


class ConnectBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The body of ``POST /networks/{id}/connect``."""

    container: str = ""
    endpoint_config: EndpointBody | None = None


class DisconnectBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The body of ``POST /networks/{id}/disconnect``."""

    container: str = ""
    force: bool | None = None


def wanted_network(body: NetworkBody) -> Network:
    """Return what a client wants as a record; its id and time mean nothing yet.

    Raises
    ------
    InvalidArgument, Forbidden, NotFound
        The name is missing, or the driver is not one that a network can be made with.
    """
    if not body.name.strip():
        raise InvalidArgument("network name cannot be empty")
    driver = body.driver or "bridge"
    if driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver != "bridge":
        raise NotFound(
            f'could not find plugin {driver}: plugin "{driver}" not found',
            "networks of this engine are bridges: leave --driver out",
        )
    if body.ingress or body.config_only:
        raise InvalidArgument("ingress and config-only networks belong to a swarm; there is none")
    config = (body.ipam.config or []) if body.ipam else []
    return Network(
        id=NetworkId(""),
        name=body.name,
        driver="bridge",
        created_at=NEVER,
        subnets=tuple(
            IpamSubnet(
                subnet=entry.subnet,
                gateway=entry.gateway,
                ip_range=entry.ip_range,
                reserved=entry.auxiliary_addresses or {},
            )
            for entry in config
        ),
        is_internal=bool(body.internal),
        has_ipv6=bool(body.enable_ipv6),
        is_attachable=bool(body.attachable),
        options=body.options or {},
        labels=body.labels or {},
    )


def endpoint_settings(name: str, body: EndpointBody | None) -> EndpointSettings:
    """Return what a client wants of a container's place on the network `name`."""
    if body is None:
        return EndpointSettings(network=name)
    if body.links:
        raise Unsupported(
            "--link is not supported by this version of dockerlab",
            "leave it out: on a network of your own containers find each other by name",
        )
    addresses = body.ipam_config or _AddressesBody()
    return EndpointSettings(
        network=name,
        aliases=tuple(body.aliases or ()),
        ipv4=addresses.ipv4_address or "",
        ipv6=addresses.ipv6_address or "",
        mac=checked_mac(body.mac_address or ""),
    )


def checked_mac(text: str) -> str:
    """Return a hardware address as it is kept; raise InvalidArgument for what is none."""
    if text and not _MAC.fullmatch(text):
        raise InvalidArgument(f"invalid MAC address: {text}")
    return text.lower()


def network(record: Network, containers: Iterable[Container] | None) -> Json:
    """Return one network (Engine API, Network).

    Parameters
    ----------
    containers : iterable of Container, optional
        Those running on it; None in a list of networks, where Docker leaves them out.
    """
    return {
        "Name": record.name,
        "Id": record.id,
        "Created": rfc3339(record.created_at),
        "Scope": "local",
        "Driver": record.driver,
        "EnableIPv4": True,
        "EnableIPv6": record.has_ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": None if record.is_predefined else {},
            "Config": [_ipam(subnet) for subnet in record.subnets] or None,
        },
        "Internal": record.is_internal,
        "Attachable": record.is_attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {container.id: _member(container, record) for container in containers or ()},
        "Options": record.options,
        "Labels": record.labels,
    }


def _ipam(subnet: IpamSubnet) -> Json:
    shape: Json = {"Subnet": subnet.subnet}
    if subnet.ip_range:
        shape["IPRange"] = subnet.ip_range
    if subnet.gateway:
        shape["Gateway"] = subnet.gateway
    if subnet.reserved:
        shape["AuxiliaryAddresses"] = subnet.reserved
    return shape


def _member(container: Container, record: Network) -> Json:
    place = next((e for e in container.endpoints if e.network_id == record.id), None)
    return {
        "Name": container.name,
        "EndpointID": place.id if place else "",
        "MacAddress": place.mac if place else "",
        "IPv4Address": _interface(place, _IPV4),
        "IPv6Address": _interface(place, _IPV6),
    }


def endpoint(settings: EndpointSettings, network_id: str, place: Endpoint | None) -> Json:
    """Return a container's place on a network (Engine API, EndpointSettings).

    Parameters
    ----------
    settings : EndpointSettings
        What was asked for.
    place : Endpoint, optional
        What it has while it runs.
    """
    ipv4, ipv6 = _interface(place, _IPV4), _interface(place, _IPV6)
    asked = {"IPv4Address": settings.ipv4, "IPv6Address": settings.ipv6}
    return {
        "IPAMConfig": {key: value for key, value in asked.items() if value} or None,
        "Links": None,
        "Aliases": list(settings.aliases) or None,
        "MacAddress": place.mac if place else settings.mac,
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": network_id,
        "EndpointID": place.id if place else "",
        "Gateway": _gateway(place, _IPV4),
        "IPAddress": ipv4.partition("/")[0],
        "IPPrefixLen": int(ipv4.partition("/")[2] or 0),
        "IPv6Gateway": _gateway(place, _IPV6),
        "GlobalIPv6Address": ipv6.partition("/")[0],
        "GlobalIPv6PrefixLen": int(ipv6.partition("/")[2] or 0),
        "DNSNames": list(place.names) or None if place else None,
    }


def _interface(place: Endpoint | None, version: int) -> str:
    texts = place.interfaces if place else ()
    return next((text for text in texts if ip_interface(text).version == version), "")


def _gateway(place: Endpoint | None, version: int) -> str:
    texts = place.gateways if place else ()
    return next((text for text in texts if ip_interface(text).version == version), "")


def port_map(bindings: Iterable[PortBinding], exposed: Iterable[str] = ()) -> Json:
    """Return a PortMap (Engine API): ``80/tcp`` to the places of the host, None for none."""
    shape: Json = dict.fromkeys(exposed)
    for binding in bindings:
        key = f"{binding.port}/{binding.protocol}"
        port = str(binding.host_port) if binding.host_port else ""
        port += f"-{binding.last_host_port}" if binding.last_host_port else ""
        entry = {"HostIp": binding.host_address, "HostPort": port}
        shape[key] = [*(shape.get(key) or ()), entry]
    return shape


def ports(container: Container) -> list[Json]:
    """Return the ports of a running container as a list shows them (Engine API, Port)."""
    if not any(place.interface for place in container.endpoints):
        return []
    bound = {f"{each.port}/{each.protocol}" for each in container.ports}
    exposed = [text.partition("/") for text in container.config.exposed_ports if text not in bound]
    return [
        *(
            {
                "IP": each.host_address,
                "PrivatePort": each.port,
                "PublicPort": each.host_port,
                "Type": each.protocol,
            }
            for each in container.ports
        ),
        *(
            {"PrivatePort": int(number), "Type": protocol or "tcp"}
            for number, _, protocol in exposed
            if number.isdecimal()
        ),
    ]
