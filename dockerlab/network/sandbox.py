"""A container's network namespace with its endpoints: the record of the service."""

from dataclasses import dataclass, field

from dockerlab.kernel.fds import OwnedFd
from dockerlab.network.links import Cable
from dockerlab.network.messages import EndpointPlan, PortPlan
from dockerlab.network.resolver import NameSockets

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
    sockets: NameSockets | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A namespace made before somebody wants it: connected to a network, without an address.

    Where the last container of the network had a name server, its sockets are there too.
    """

    network: str
    namespace: OwnedFd
    cable: Cable
    sockets: NameSockets | None = None

    def close(self) -> None:
        """Give all of it back."""
        self.namespace.close()
        if self.sockets is not None:
            self.sockets.close()
