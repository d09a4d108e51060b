"""Records of networks and places as the network service is told of them. Pure."""

from dockerlab.engine.container import Container
from dockerlab.engine.network import Endpoint, Network
from dockerlab.errors import InvalidArgument
from dockerlab.network.messages import EndpointPlan, NetworkPlan, PortPlan, SandboxPlan

__all__ = ["check_options", "endpoint_plan", "network_plan", "sandbox_plan"]

# Docker's names for what a bridge can be told (moby, libnetwork/drivers/bridge/labels.go).
_MTU_OPTION = "com.docker.network.driver.mtu"
_NEIGHBOURS_OPTION = "com.docker.network.bridge.enable_icc"
_MASQUERADE_OPTION = "com.docker.network.bridge.enable_ip_masquerade"
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")
_MIN_MTU, _MAX_MTU = 68, 65535  # RFC 791; linux/if_ether.h


def check_options(options: dict[str, str]) -> None:
    """Refuse a value that cannot be right; options that are unknown mean nothing, as in Docker.

    Raises
    ------
    InvalidArgument
        A switch that is neither on nor off, or an MTU that is none.
    """
    for key in (_NEIGHBOURS_OPTION, _MASQUERADE_OPTION):
        if (text := options.get(key, "true").lower()) not in (*_TRUE, *_FALSE):
            raise InvalidArgument(f'invalid value "{text}" of the option {key}: true or false')
    mtu = options.get(_MTU_OPTION, "")
    if mtu and not (mtu.isdecimal() and (mtu == "0" or _MIN_MTU <= int(mtu) <= _MAX_MTU)):
        raise InvalidArgument(f'invalid value "{mtu}" of the option {_MTU_OPTION}')


def network_plan(network: Network) -> NetworkPlan:
    """Return the bridge of a network."""
    options = network.options
    return NetworkPlan(
        id=network.id,
        interfaces=tuple(
            f"{subnet.gateway}/{subnet.subnet.rpartition('/')[2]}" for subnet in network.subnets
        ),
        is_internal=network.is_internal,
        is_masqueraded=options.get(_MASQUERADE_OPTION, "true").lower() in _TRUE,
        has_neighbours=options.get(_NEIGHBOURS_OPTION, "true").lower() in _TRUE,
        mtu=int(options.get(_MTU_OPTION) or 0),
    )


def sandbox_plan(container: Container, upstreams: tuple[str, ...] | None) -> SandboxPlan:
    """Return all of a container's network.

    Parameters
    ----------
    upstreams : tuple of str, optional
        As in `SandboxPlan`.
    """
    return SandboxPlan(
        id=container.id,
        endpoints=tuple(endpoint_plan(endpoint) for endpoint in container.endpoints),
        ports=tuple(
            PortPlan(
                protocol=port.protocol,
                address=port.host_address,
                host_port=port.host_port,
                port=port.port,
            )
            for port in container.ports
        ),
        upstreams=upstreams,
    )


def endpoint_plan(endpoint: Endpoint) -> EndpointPlan:
    """Return a container's place on one network."""
    return EndpointPlan(
        network=endpoint.network_id,
        interface=endpoint.interface,
        addresses=endpoint.interfaces,
        gateways=endpoint.gateways,
        mac=endpoint.mac,
        names=endpoint.names,
    )
