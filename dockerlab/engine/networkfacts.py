"""What the network service of this host has and lacks, as users are told of it. Pure."""

from dockerlab.network.messages import Hello

__all__ = ["describe_service", "service_warnings"]


def describe_service(hello: Hello | None) -> str:
    """Say by what networks are kept apart and lead out, in a few words."""
    if hello is None:
        return ""
    words = [f"rules by {hello.firewall}" if hello.firewall else "no firewall"]
    words += [f"outside by {hello.uplink}"] if hello.uplink else []
    return ", ".join(words)


def service_warnings(hello: Hello | None, failure: str) -> tuple[str, ...]:
    """Return what containers on networks go without on this host, and what to do.

    Parameters
    ----------
    failure : str
        Why there is no service.
    """
    if failure:
        return (f"WARNING: no container runs on a bridge: {failure}",)
    if hello is None:
        return ()
    lacks = [f"WARNING: {hello.uplink_lack}"] if hello.uplink_lack else []
    if hello.lack:
        lacks.append(f"WARNING: networks have no way out: {hello.lack}")
    return tuple(lacks)
