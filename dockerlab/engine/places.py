"""Which networks a new container is to be on: what the client said, checked. Pure.

The conflicts and their words are dockerd's (moby, runconfig).
"""

from collections.abc import Callable, Iterable

import msgspec

from dockerlab.engine.container import ContainerConfig, HostConfig
from dockerlab.engine.isolation import donor_of
from dockerlab.engine.network import HOST, NONE, EndpointSettings, Network, check_settings
from dockerlab.errors import InvalidArgument

__all__ = ["settle_places"]

_DEFAULT = "default"


def settle_places(
    config: ContainerConfig,
    host: HostConfig,
    asked: Iterable[EndpointSettings],
    find: Callable[[str], Network | None],
) -> tuple[tuple[EndpointSettings, ...], list[str]]:
    """Return the places of a new container, that of its mode first, and warnings.

    Parameters
    ----------
    host : HostConfig
        With the mode that this host has for ``default``.
    find : callable
        Returns the network of a name or an id. One that is not there yet is no error before the
        start, as in Docker.

    Raises
    ------
    InvalidArgument
        Options that contradict each other, or that a network does not have.
    """
    mode = host.network_mode
    if donor_of(mode):
        _check_shared(config, host)
        return (), []
    places: dict[str, EndpointSettings] = {}
    for each in (*asked, EndpointSettings(network=mode)):
        name = mode if each.network == _DEFAULT else each.network
        network = find(name)
        place = msgspec.structs.replace(each, network=network.name if network else name)
        if network is not None:
            check_settings(network, place)
        places.setdefault(place.network, place)
    if len(places) > 1 and not {HOST, NONE}.isdisjoint(places):
        raise InvalidArgument(
            "conflicting options: cannot attach both user-defined and non-user-defined"
            " network-modes"
        )
    warnings = []
    if mode == HOST:
        if any(place.mac for place in places.values()):
            raise InvalidArgument("conflicting options: mac-address and the network mode")
        if host.port_bindings:
            warnings.append("Published ports are discarded when using host network mode")
    return tuple(places.values()), warnings


def _check_shared(config: ContainerConfig, host: HostConfig) -> None:
    if host.port_bindings or host.publish_all:
        raise InvalidArgument(
            "conflicting options: port publishing and the container type network mode"
        )
    if config.exposed_ports:
        raise InvalidArgument(
            "conflicting options: port exposing and the container type network mode"
        )
