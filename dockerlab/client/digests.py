"""Which digest a tag means, asked of a registry on this machine.

For comparisons: every engine is to pull the same bytes from the same place, so the tag is resolved
once, here, and all are given the digest. No more of the distribution API is spoken, and no
credentials are known: what is pulled, and by whom it is checked, is the engines' part.
"""

import http.client
import ipaddress
import re

from dockerlab.errors import InvalidArgument, ManifestNotFound, Unavailable
from dockerlab.oci.reference import Reference, parse_reference

__all__ = ["is_loopback", "resolve_digest"]

TIMEOUT_S = 10.0
_MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_loopback(address: str) -> bool:
    """Tell whether ``host[:port]`` is of this machine only.

    Examples
    --------
    >>> is_loopback("127.0.0.1:5000"), is_loopback("localhost"), is_loopback("docker.io")
    (True, True, False)
    """
    host = address.rpartition(":")[0] if address.rpartition(":")[2].isdecimal() else address
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def resolve_digest(image: str, registry: str = "") -> str:
    """Return ``registry/repository@digest`` of an image, as the registry has it now.

    Parameters
    ----------
    image : str
        Reference, as a user types it.
    registry : str
        ``host:port`` of a registry on this machine that has the repository of `image`; '' takes the
        one of the reference.

    Raises
    ------
    InvalidArgument
        The registry is not on this machine.
    Unavailable
        It does not answer.
    ManifestNotFound
        It has no such image.
    """
    wanted = parse_reference(image)
    address = registry or wanted.registry
    if not is_loopback(address):
        raise InvalidArgument(
            f"cannot compare engines with {image} from {address}: its network would be measured",
            "push the image to a registry on this machine, and say --registry 127.0.0.1:PORT",
        )
    digest = _ask(address, wanted)
    return f"{address}/{wanted.repository}@{digest}"


def _ask(address: str, wanted: Reference) -> str:
    name = wanted.target
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        path = f"/v2/{wanted.repository}/manifests/{name}"
        connection.request("HEAD", path, headers={"Accept": ", ".join(_MEDIA_TYPES)})
        response = connection.getresponse()
        response.read()
        status, digest = response.status, response.headers.get("Docker-Content-Digest", "")
    except (OSError, http.client.HTTPException) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise Unavailable(
            f'the registry at "{address}" does not answer: {why or type(exc).__name__}',
            "start one there, and push the image to it",
        ) from exc
    finally:
        connection.close()
    if status != http.HTTPStatus.OK or not _DIGEST.fullmatch(digest):
        raise ManifestNotFound(
            f'the registry at "{address}" has no {wanted.repository}:{name} (HTTP status {status})',
            "push the image to it first",
        )
    return digest
