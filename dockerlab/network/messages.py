"""The messages between the daemon and the network service, and what they are about.

One JSON object a datagram on a SEQPACKET socket, descriptors beside it (SCM_RIGHTS)::

    daemon                                    service
    ------                                    -------
    {"id", "verb", "args"}  [+ fds]    -->
                                       <--    {"id", "result"}  [+ fds]
                                       <--    {"id", "error": {"kind", "message", "hint"}}

    hello    what there is: version, firewall, uplink, what they lack, sandboxes
    sync     [NetworkPlan]: have just these networks
    open     SandboxPlan [+ namespace]: a namespace with its endpoints, names and ports;
             gives it back as a descriptor. With a namespace: it is there already, and what a
             killed service had is made again
    watch    sandbox + pidfd: close it when that process has ended
    connect  sandbox, EndpointPlan: one more network, while it runs
    leave    sandbox, network
    close    sandbox

Requests are answered one after another, in their order.
"""

import msgspec

from dockerlab import errors
from dockerlab.errors import DockerlabError, EngineFailure

__all__ = [
    "VERSION",
    "Answer",
    "EndpointPlan",
    "ErrorBody",
    "Hello",
    "NetworkPlan",
    "PortPlan",
    "Request",
    "SandboxPlan",
    "error_body",
    "error_of",
]

# A service of another version is ended as soon as nothing runs on it.
VERSION = 1


class NetworkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge and its rules. Interfaces are written as ``address/prefix``."""

    id: str
    interfaces: tuple[str, ...]
    is_internal: bool = False
    is_masqueraded: bool = True
    has_neighbours: bool = True
    mtu: int = 0


class EndpointPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A container's place on a network.

    Parameters
    ----------
    interface : str
        ``eth0`` and so on.
    addresses : tuple of str
        ``address/prefix``.
    gateways : tuple of str
        The ways out, where they are this network's.
    names : tuple of str
        What others on the network call it; the first is its own name.
    """

    network: str
    interface: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    mac: str = ""
    names: tuple[str, ...] = ()


class PortPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A published port; `host_port` 0 is any free one."""

    protocol: str
    address: str
    host_port: int
    port: int


class SandboxPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All of a container's network.

    Parameters
    ----------
    upstreams : tuple of str, optional
        Name servers behind the one at 127.0.0.11; None for a container without that one.
    """

    id: str
    endpoints: tuple[EndpointPlan, ...]
    ports: tuple[PortPlan, ...] = ()
    upstreams: tuple[str, ...] | None = None


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What a service says of itself.

    Parameters
    ----------
    lack : str
        Why it has no firewall; then networks are apart, and nothing leads out of them.
    uplink : str
        What leads out of the engine's own network namespace, without root.
    uplink_lack : str
        Why nothing does, and what to install.
    """

    version: int
    pid: int
    firewall: str
    lack: str
    sandboxes: tuple[str, ...]
    uplink: str = ""
    uplink_lack: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request; `args` is the plan that the verb is about."""

    id: int
    verb: str
    args: msgspec.Raw


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error, by the name of its kind in `dockerlab.errors`."""

    kind: str
    message: str
    hint: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; one of both is there."""

    id: int
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorBody | None = None


def error_body(error: Exception) -> ErrorBody:
    """Return an error as it travels."""
    if isinstance(error, DockerlabError):
        return ErrorBody(kind=type(error).__name__, message=error.message, hint=error.hint)
    return ErrorBody(kind="EngineFailure", message=f"the network service fails: {error}")


def error_of(body: ErrorBody) -> DockerlabError:
    """Return the error that has travelled."""
    kind = getattr(errors, body.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, DockerlabError)):
        kind = EngineFailure
    return kind(body.message, body.hint)
