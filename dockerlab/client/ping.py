"""Ask an address who it is: one ``GET /_ping``, which every version of every engine answers.

It needs no docker-py, so that an address can be tried at no cost.
"""

import http.client
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dockerlab.errors import InvalidArgument, Unavailable

__all__ = ["Answer", "ping", "socket_path"]

PING_TIMEOUT_S = 10.0
# The port of a Docker engine without TLS (IANA: docker).
DOCKER_PORT = 2375

# The newest version of the Engine API that is spoken here; an older engine is met at its own.
NEWEST_API = (1, 45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Who answered.

    Parameters
    ----------
    engine : str
        ``dockerlab``, ``docker`` or ``podman``.
    version : str
        The engine's own version.
    api_version : str
        The newest version of the Engine API that both sides speak.
    """

    engine: str
    version: str
    api_version: str


def ping(address: str, *, timeout_s: float = PING_TIMEOUT_S) -> Answer:
    """Ask who listens at an address.

    Parameters
    ----------
    address : str
        ``unix:///path`` or ``tcp://host[:port]``.
    timeout_s : float
        Seconds to wait for each step.

    Raises
    ------
    Unavailable
        Nobody answers there.
    InvalidArgument
        It is no address.
    """
    headers = _headers(address, timeout_s)
    engine, version = _identify(headers)
    return Answer(
        engine=engine, version=version, api_version=_api_version(headers.get("Api-Version", ""))
    )


def socket_path(address: str) -> Path | None:
    """Return the unix socket of an address; None for one behind TCP."""
    return Path(address.removeprefix("unix://")) if address.startswith("unix://") else None


def _api_version(announced: str) -> str:
    major, _, minor = announced.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        return ".".join(map(str, NEWEST_API))
    return ".".join(map(str, min(NEWEST_API, (int(major), int(minor)))))


def _identify(headers: Mapping[str, str]) -> tuple[str, str]:
    """Tell an engine by its ``Server`` header: ``Docker/20.10.24 (linux)``, ``Libpod/4.3.1 …``."""
    product, _, version = headers.get("Server", "").partition(" ")[0].partition("/")
    names = {"dockerlab": "dockerlab", "libpod": "podman"}
    return names.get(product.lower(), "docker"), version


def _headers(address: str, timeout_s: float) -> Mapping[str, str]:
    try:
        connection = _http_connection(address, timeout_s)
        try:
            connection.request("GET", "/_ping")
            response = connection.getresponse()
            response.read()
            return dict(response.headers)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise Unavailable(
            f'no engine answers at "{address}": {why or type(exc).__name__}',
            hint="start ours with `dockerlab engine start`, or choose another: %engine docker",
        ) from exc


def _http_connection(address: str, timeout_s: float) -> http.client.HTTPConnection:
    path = socket_path(address)
    if path is not None:
        return _UnixConnection(path, timeout_s)
    host, _, port = address.removeprefix("tcp://").rstrip("/").rpartition(":")
    if not port.isdecimal():
        host, port = address.removeprefix("tcp://").rstrip("/"), str(DOCKER_PORT)
    if not host or "/" in host:
        raise InvalidArgument(
            f'not the address of an engine: "{address}"', "write unix:///path or tcp://host:port"
        )
    return http.client.HTTPConnection(host, int(port), timeout=timeout_s)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the unix socket; `http.client` calls it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))
