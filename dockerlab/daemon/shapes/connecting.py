"""What a client says of a new container's networks and ports.

Engine API, HostConfig ("NetworkMode", "PortBindings") and NetworkingConfig. Which networks there
are, the engine knows.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec

from dockerlab.daemon.shapes.network import EndpointBody, checked_mac, endpoint_settings
from dockerlab.engine.isolation import CONTAINER_MODE
from dockerlab.engine.network import EndpointSettings, PortBinding, ports_of
from dockerlab.errors import InvalidArgument

__all__ = ["PortBody", "endpoints", "exposed_ports", "network_mode", "parse_bindings"]

DEFAULT = "default"
_MAX_PORT = 65535


class PortBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """``PortBinding``."""

    host_ip: str | None = None
    host_port: str | None = None


def network_mode(mode: str) -> str:
    """Return the network that a mode means; ``default`` is left to the tier."""
    if mode == CONTAINER_MODE:
        raise InvalidArgument("invalid container format container:<name|id>")
    return mode or DEFAULT


def parse_bindings(
    bindings: Mapping[str, Sequence[PortBody] | None],
) -> tuple[PortBinding, ...]:
    """Return the ports of ``-p``.

    Raises
    ------
    InvalidArgument
        A port, a range or an address that cannot be right.
    """
    return tuple(
        _binding(port, protocol, body)
        for text, bodies in bindings.items()
        for port, protocol in ports_of(text)
        for body in bodies or ()
    )


def _binding(port: int, protocol: str, body: PortBody) -> PortBinding:
    first, last = _range(body.host_port or "")
    return PortBinding(
        port=port,
        protocol=protocol,
        host_address=_address(body.host_ip or ""),
        host_port=first,
        last_host_port=last if last != first else 0,
    )


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    numbers = (first or "0", last or first or "0")
    if not all(number.isdecimal() and int(number) <= _MAX_PORT for number in numbers):
        raise InvalidArgument(f'invalid port specification: "{text}"')
    begin, end = (int(number) for number in numbers)
    if begin > end:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return begin, end


def _address(text: str) -> str:
    if not text:
        return ""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError as error:
        raise InvalidArgument(f"invalid IP address: {text}") from error


def exposed_ports(texts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ports of ``--expose``, each with its protocol."""
    ports = {f"{port}/{protocol}" for text in texts for port, protocol in ports_of(text)}
    return tuple(sorted(ports))


def endpoints(
    mode: str, networking: Mapping[str, Any] | None, mac: str
) -> tuple[EndpointSettings, ...]:
    """Return the places that a new container is to have; that of its mode is the first.

    Parameters
    ----------
    mode : str
        As `network_mode` gives it.
    networking : mapping, optional
        ``NetworkingConfig``.
    mac : str
        ``MacAddress`` of the config, which is of the first.

    Raises
    ------
    InvalidArgument
        It is no ``NetworkingConfig``.
    """
    if mode.startswith(CONTAINER_MODE):
        return ()
    try:
        bodies = msgspec.convert(
            (networking or {}).get("EndpointsConfig") or {}, dict[str, EndpointBody | None]
        )
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid NetworkingConfig: {error}") from error
    places = {name: endpoint_settings(name, body) for name, body in bodies.items()}
    first = places.pop(mode, None) or EndpointSettings(network=mode)
    if mac and not first.mac:
        first = msgspec.structs.replace(first, mac=checked_mac(mac))
    return (first, *places.values())
