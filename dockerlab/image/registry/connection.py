"""Connections to registries that are made in bounded time, or not at all.

urllib3 bounds a connection attempt to one address, but neither the look-up of the name nor the
sum of the attempts; a laptop without a network can wait half a minute for a name server. Here
both fit into one bound. Requests are in `transport`.
"""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from dockerlab.image.registry.certificates import Certificates, TlsFiles
from dockerlab.image.registry.proxies import Proxies, Proxy

__all__ = ["CONNECT_TIMEOUT_S", "Pools"]

CONNECT_TIMEOUT_S = 3.0

_READ_TIMEOUT_S = 30.0
_LEAST_TIMEOUT_S = 0.1
_CONNECTIONS_A_HOST = 4

_Address = tuple[socket.AddressFamily, Any]


class _PlainConnection(HTTPConnection):
    """A connection whose name look-up and attempts share one time limit.

    `connected_s` is when it was ready, on the monotonic clock.
    """

    connected_s = 0.0

    def connect(self) -> None:
        """Connect, and note when that was done."""
        super().connect()
        self.connected_s = time.monotonic()

    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _TlsConnection(HTTPSConnection):
    """The same with TLS."""

    connected_s = 0.0

    def connect(self) -> None:
        """Connect and shake hands, and note when that was done."""
        super().connect()
        self.connected_s = time.monotonic()

    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection  # type: ignore[mutable-override]


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection  # type: ignore[mutable-override]


class _UnverifiedPool(_TlsPool):
    """A pool for registries that the user called insecure, who need not be warned of it again."""

    def _validate_conn(self, conn: Any) -> None:
        if conn.is_closed:
            conn.connect()


class Pools:
    """Keeps connections open by scheme, host and port; threads may share it.

    Parameters
    ----------
    connect_timeout_s : float
        Seconds for the name look-up and all attempts to connect together.
    read_timeout_s : float
        Seconds without a byte after which an answer counts as broken off.
    certificates : Certificates, optional
        The servers' own authorities, and what they are shown.
    proxies : Proxies, optional
        Who is asked through whom.
    """

    def __init__(
        self,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = _READ_TIMEOUT_S,
        certificates: Certificates | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "maxsize": _CONNECTIONS_A_HOST,
            "timeout": urllib3.Timeout(connect=connect_timeout_s, read=read_timeout_s),
            "retries": False,
        }
        self._certificates = certificates or Certificates()
        self._proxies = proxies or Proxies()
        self._lock = threading.Lock()
        # By whether they verify; where a server has certificates of its own, the server; the proxy.
        self._managers: dict[tuple[bool, str, Proxy | None], urllib3.PoolManager] = {}

    def get(
        self, url: str, headers: dict[str, str], *, verifies: bool = True
    ) -> urllib3.BaseHTTPResponse:
        """Send a GET and return the answer with its body unread; redirects are not followed.

        Raises
        ------
        urllib3.exceptions.HTTPError
            No connection, no answer, or not one of HTTP.
        InvalidArgument
            A certificate for this server cannot be used.
        """
        return self._manager(url, verifies=verifies).request(
            "GET", url, headers=headers, redirect=False, preload_content=False, decode_content=False
        )

    def post(
        self, url: str, headers: dict[str, str], body: bytes, *, verifies: bool = True
    ) -> urllib3.BaseHTTPResponse:
        """Send a POST; otherwise as `get`."""
        return self.send("POST", url, headers, body, verifies=verifies)

    def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | Iterator[bytes] | None = None,
        *,
        verifies: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request of any method; otherwise as `get`.

        A body that comes in pieces needs its ``Content-Length`` among the headers.
        """
        return self._manager(url, verifies=verifies).request(
            method,
            url,
            body=body,
            headers=headers,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )

    def _manager(self, url: str, *, verifies: bool) -> urllib3.PoolManager:
        """Return the manager whose TLS is right for an address."""
        parts = urlsplit(url)
        files = self._certificates.find(parts.netloc) if parts.scheme == "https" else TlsFiles()
        proxy = self._proxies.find(url)
        key = (verifies, parts.netloc if files != TlsFiles() else "", proxy)
        with self._lock:
            if key not in self._managers:
                self._managers[key] = self._make_manager(files, proxy, verifies=verifies)
            return self._managers[key]

    def _make_manager(
        self, files: TlsFiles, proxy: Proxy | None, *, verifies: bool
    ) -> urllib3.PoolManager:
        options = self._options
        if not verifies or files != TlsFiles():
            options = options | {"ssl_context": files.context(verifies=verifies)}
        if proxy is None:
            manager = urllib3.PoolManager(**options)
        else:
            shown = urllib3.make_headers(proxy_basic_auth=proxy.user) if proxy.user else None
            manager = urllib3.ProxyManager(proxy.url, proxy_headers=shown, **options)
        tls = _TlsPool if verifies else _UnverifiedPool
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": tls}
        return manager

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            managers = list(self._managers.values())
        for manager in managers:
            # `clear` alone leaves the sockets to the garbage collector.
            for key in manager.pools.keys():  # noqa: SIM118 - it has no iterator, being for threads
                if pool := manager.pools.get(key):
                    pool.close()
            manager.clear()


def _connect(connection: HTTPConnection) -> socket.socket:
    """Return a connected socket within the connection's timeout."""
    timeout = connection.timeout or CONNECT_TIMEOUT_S
    deadline = time.monotonic() + timeout
    host = connection.host.strip("[]")
    failure: OSError | None = None
    try:
        addresses = _look_up(host, connection.port or 0, timeout)
    except TimeoutError as exc:
        raise ConnectTimeoutError(connection, f"no answer about the name {host}") from exc
    except OSError as exc:
        raise NewConnectionError(connection, f"the name {host} is not known") from exc
    for index, (family, address) in enumerate(addresses):
        # The time that is left is for all addresses: an unreachable first one may not use it up.
        remaining = (deadline - time.monotonic()) / (len(addresses) - index)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(max(remaining, _LEAST_TIMEOUT_S))
            sock.connect(address)
        except OSError as exc:
            sock.close()
            failure = exc
        else:
            # What follows on this socket is the TLS handshake.
            sock.settimeout(timeout)
            return sock
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, f"no answer in {timeout:g} s")
    reason = failure.strerror if failure else "the name has no address"
    raise NewConnectionError(connection, (reason or str(failure)).lower())


def _look_up(host: str, port: int, timeout: float) -> list[_Address]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _look_up_name(host, port, timeout)
    return _addresses(host, port)


def _look_up_name(host: str, port: int, timeout: float) -> list[_Address]:
    """Ask for a name in another thread, because getaddrinfo(3) cannot be interrupted."""
    answers: queue.SimpleQueue[list[_Address] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        """Put the answer where the other thread waits for it."""
        try:
            answers.put(_addresses(host, port))
        except OSError as exc:
            answers.put(exc)

    # A daemon: an abandoned look-up must not keep the process from ending.
    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _addresses(host: str, port: int) -> list[_Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]
