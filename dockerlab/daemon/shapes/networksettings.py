"""What a container has of networks, as `docker inspect` shows it: ``NetworkSettings``."""

from collections.abc import Mapping
from typing import Any

from dockerlab.daemon.shapes.network import endpoint, port_map
from dockerlab.engine.container import Container
from dockerlab.engine.network import BRIDGE, EndpointSettings

__all__ = ["network_settings", "networks"]

Json = dict[str, Any]

# What a container on the default bridge has at the top, too: older clients look there.
_LEGACY = {
    "EndpointID": "",
    "Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "MacAddress": "",
}


def networks(container: Container, network_ids: Mapping[str, str]) -> Json:
    """Return a container's places by the names of their networks (Engine API, EndpointSettings).

    Parameters
    ----------
    network_ids : mapping
        The id of each of its networks by name.
    """
    return {
        settings.network: _place(container, settings, network_ids.get(settings.network, ""))
        for settings in container.networks
    }


def _place(container: Container, settings: EndpointSettings, network_id: str) -> Json:
    place = next((e for e in container.endpoints if e.network_id == network_id), None)
    return endpoint(settings, network_id, place)


def network_settings(container: Container, network_ids: Mapping[str, str]) -> Json:
    """Return all of it (Engine API, NetworkSettings)."""
    places = networks(container, network_ids)
    default = places.get(BRIDGE, {})
    has_links = any(place.interface for place in container.endpoints)
    exposed = container.config.exposed_ports if has_links else ()
    is_running = bool(container.endpoints)
    return {
        "Bridge": "",
        "SandboxID": container.id if is_running else "",
        "SandboxKey": f"/proc/{container.state.pid}/ns/net" if is_running else "",
        "Ports": port_map(container.ports, exposed),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{key: default.get(key, empty) for key, empty in _LEGACY.items()},
        "Networks": places,
    }
