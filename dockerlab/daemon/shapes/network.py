"""The two networks that need no bridge, "none" and "host", as the API shows them."""

import hashlib
from collections.abc import Iterable
from typing import Any

from dockerlab.daemon.shapes.moment import rfc3339
from dockerlab.engine.container import NEVER, Container

__all__ = ["NETWORKS", "endpoint", "network", "network_id", "network_name"]

Json = dict[str, Any]

# Name to driver, as dockerd's own two are.
NETWORKS = {"host": "host", "none": "null"}


def network_name(mode: str) -> str:
    """Return the network of a `NetworkMode`: without a bridge the default is none."""
    return "host" if mode == "host" else "none"


def network_id(name: str) -> str:
    """Return an id that is the same in every life of every engine, as the networks are."""
    return hashlib.sha256(f"dockerlab.network.{name}".encode()).hexdigest()


def endpoint(name: str, container: Container) -> Json:
    """Return a container's place on a network (Engine API, EndpointSettings)."""
    is_running = container.state.is_running
    endpoint_id = hashlib.sha256(f"{name}.{container.id}".encode()).hexdigest()
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": "",
        "DriverOpts": None,
        "NetworkID": network_id(name),
        "EndpointID": endpoint_id if is_running else "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }


def network(name: str, containers: Iterable[Container] | None) -> Json:
    """Return one network (Engine API, Network).

    Parameters
    ----------
    containers : iterable of Container, optional
        Those running on it; None in a list of networks, where Docker leaves them out.
    """
    shape: Json = {
        "Name": name,
        "Id": network_id(name),
        "Created": rfc3339(NEVER),
        "Scope": "local",
        "Driver": NETWORKS[name],
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": None},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {},
        "Options": {},
        "Labels": {},
    }
    for container in containers or ():
        shape["Containers"][container.id] = {
            "Name": container.name,
            "EndpointID": endpoint(name, container)["EndpointID"],
            "MacAddress": "",
            "IPv4Address": "",
            "IPv6Address": "",
        }
    return shape
