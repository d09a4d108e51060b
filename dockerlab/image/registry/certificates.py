"""Certificates of registries: folders as Docker's ``/etc/docker/certs.d/<host[:port]>/``.

Every ``*.crt`` is an authority that the registry's certificate may be signed by, besides those of
the system; a ``*.cert`` with its ``*.key`` is what this client shows. They are for the server of
this name and port and nobody else (https://docs.docker.com/engine/security/certificates/).
"""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from dockerlab.errors import InvalidArgument

__all__ = ["Certificates", "TlsFiles"]

# A folder's name comes from addresses, which strangers may have written.
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """What there is for one server: authorities, and pairs of certificate and key."""

    authorities: tuple[Path, ...] = ()
    pairs: tuple[tuple[Path, Path], ...] = ()

    def context(self, *, verifies: bool) -> ssl.SSLContext:
        """Return a TLS context that uses them.

        Raises
        ------
        InvalidArgument
            A file cannot be read, or is not what its name says.
        """
        context = ssl.create_default_context()
        if not verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        for authority in self.authorities:
            try:
                context.load_verify_locations(authority)
            except OSError as exc:  # ssl.SSLError is one
                raise _unusable(authority, exc) from exc
        for certificate, key in self.pairs:
            try:
                # An empty password, so that nobody is asked for one at a terminal.
                context.load_cert_chain(certificate, key, password="")
            except (OSError, ValueError) as exc:
                raise _unusable(certificate, exc) from exc
        return context


class Certificates:
    """Looks into `folders` for a server's own; the files of all of them count."""

    def __init__(self, folders: tuple[Path, ...] = ()) -> None:
        self._folders = folders

    def find(self, server: str) -> TlsFiles:
        """Return what there is for ``host[:port]``.

        Raises
        ------
        InvalidArgument
            A certificate has no key.
        """
        if not _HOST.fullmatch(server):
            return TlsFiles()
        places = [folder / server for folder in self._folders]
        pairs = []
        for certificate in _listed(places, "*.cert"):
            key = certificate.with_suffix(".key")
            if not key.exists():
                raise InvalidArgument(
                    f'"{certificate}" has no key', f'put it beside the certificate as "{key.name}"'
                )
            pairs.append((certificate, key))
        return TlsFiles(authorities=_listed(places, "*.crt"), pairs=tuple(pairs))


def _listed(places: list[Path], pattern: str) -> tuple[Path, ...]:
    return tuple(path for place in places for path in sorted(place.glob(pattern)))


def _unusable(path: Path, error: Exception) -> InvalidArgument:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InvalidArgument(
        f'cannot use "{path}": {why}', "expected a certificate or a key in PEM, without a password"
    )
