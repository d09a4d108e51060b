"""A container's network namespace with its endpoints: the record of the service."""

from dataclasses import dataclass, field

from dockerlab.kernel.fds import OwnedFd
from dockerlab.network.links import Cable
from dockerlab.network.messages import EndpointPlan, PortPlan

__all__ = ["Endpoint", "Prepared", "Sandbox"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place on a network, and the cable that leads there."""

    plan: EndpointPlan
    cable: Cable


@dataclass(slots=True)
class Sandbox:
    """A namespace and what is in it, by network."""

    id: str
    namespace: OwnedFd
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    ports: tuple[PortPlan, ...] = ()
    upstreams: tuple[str, ...] | None = None
    pidfd: OwnedFd | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A namespace made before somebody wants it: connected to a network, without an address."""

    network: str
    namespace: OwnedFd
    cable: Cable
