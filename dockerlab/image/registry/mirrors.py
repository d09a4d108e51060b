"""Which servers are asked for a repository, and how: mirrors, plain HTTP, the embedded hub.

Decisions only; `connection` opens the sockets.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dockerlab.errors import InvalidArgument, Unavailable
from dockerlab.oci.reference import DOCKER_HUB

__all__ = ["HUB_REGISTRY", "Endpoint", "RegistrySettings", "endpoints", "is_loopback"]

# The registry inside the engine, under a name that no name server can give away (RFC 6761, 6.3).
HUB_REGISTRY = "hub.localhost"

# Docker Hub's name in references is not that of the server that speaks the protocol.
_DOCKER_HUB_URL = "https://registry-1.docker.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """What the user configured.

    Parameters
    ----------
    mirrors : tuple of str
        Addresses with their scheme; asked for Docker Hub's images before Docker Hub, in order.
    insecure_registries : tuple of str
        ``host[:port]`` of registries without TLS or without a valid certificate.
    hub_address : str
        ``host:port`` of the embedded registry; empty while it does not run.
    certificate_folders : tuple of Path
        Folders as Docker's ``certs.d``; see `certificates`.
    """

    mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    hub_address: str = ""
    certificate_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One way to a registry.

    Parameters
    ----------
    url : str
        Scheme, host, port and perhaps a path, without a slash at the end.
    registry : str
        The registry's name in references; credentials go by it.
    is_mirror : bool
        Any failure is a reason to ask the next endpoint.
    verifies : bool
        The certificate is checked.
    """

    url: str
    registry: str
    is_mirror: bool = False
    verifies: bool = True

    @property
    def is_plain(self) -> bool:
        """Tell whether there is no TLS."""
        return self.url.startswith("http://")


def endpoints(
    registry: str, settings: RegistrySettings, *, has_authority: bool = False
) -> tuple[Endpoint, ...]:
    """Return the endpoints for a registry in the order in which they are asked.

    Loopback is asked over plain HTTP first: nobody can listen there who could not read our memory.
    Elsewhere plain HTTP is used only for registries that the user called insecure.

    Parameters
    ----------
    registry : str
        Its name in references.
    settings : RegistrySettings
        What the user configured.
    has_authority : bool
        The user gave the authority that signs this registry's certificate: on loopback, too, it is
        asked over TLS only, and has to show one.

    Raises
    ------
    InvalidArgument
        A mirror is no address.
    Unavailable
        The embedded registry does not run.
    """
    if registry == HUB_REGISTRY:
        if not settings.hub_address:
            raise Unavailable("the built-in registry does not run")
        return (Endpoint(url=f"http://{settings.hub_address}", registry=registry),)
    if registry == DOCKER_HUB:
        own = Endpoint(url=_DOCKER_HUB_URL, registry=registry)
        return (*(_mirror(text, settings) for text in settings.mirrors), own)
    plain = Endpoint(url=f"http://{registry}", registry=registry)
    if is_loopback(_host_of(registry)) and not has_authority:
        return (plain, Endpoint(url=f"https://{registry}", registry=registry, verifies=False))
    if registry in settings.insecure_registries:
        return (Endpoint(url=f"https://{registry}", registry=registry, verifies=False), plain)
    return (Endpoint(url=f"https://{registry}", registry=registry),)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address, without port, is this machine whatever DNS says.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost.evil.example")
    (True, True, False)
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _mirror(text: str, settings: RegistrySettings) -> Endpoint:
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise InvalidArgument(
            f'invalid mirror "{text}": expected an address, as http://127.0.0.1:5000'
        )
    return Endpoint(
        url=f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}",
        registry=parts.netloc,
        is_mirror=True,
        verifies=parts.netloc not in settings.insecure_registries,
    )


def _host_of(registry: str) -> str:
    return urlsplit(f"//{registry}").hostname or ""
