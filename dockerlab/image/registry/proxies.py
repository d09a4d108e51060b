"""Which proxy a request goes through, by the variables that curl and dockerd read. Decisions only.

``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, or in small letters; the rules are those of Go
(https://pkg.go.dev/golang.org/x/net/http/httpproxy), so that what is set for dockerd means the same
here. This machine is never asked through a proxy.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from dockerlab.errors import InvalidArgument
from dockerlab.image.registry.mirrors import is_loopback

__all__ = ["Proxies", "Proxy", "proxies_of"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy: its address without user and password, and those as ``user:password`` or ''."""

    url: str
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The variables as they stand; '' is none."""

    http: str = ""
    https: str = ""
    exceptions: str = ""

    def find(self, url: str) -> Proxy | None:
        """Return the proxy for an address, None where it is asked directly.

        Raises
        ------
        InvalidArgument
            The variable names no proxy that we can speak to.
        """
        parts = urlsplit(url)
        text = self.https if parts.scheme == "https" else self.http
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or _PORTS.get(parts.scheme, 0)
        if not text or is_loopback(host) or _is_excepted(host, port, self.exceptions):
            return None
        return _parse(text, f"{parts.scheme.upper()}_PROXY")

    def shown(self) -> tuple[str, str, str]:
        """Return the three for people to read: without passwords."""
        return _without_user(self.http), _without_user(self.https), self.exceptions


def proxies_of(environ: Mapping[str, str]) -> Proxies:
    """Read the variables."""

    def value(name: str) -> str:
        """Return a variable of either spelling."""
        return (environ.get(name) or environ.get(name.lower()) or "").strip()

    return Proxies(
        http=value("HTTP_PROXY"), https=value("HTTPS_PROXY"), exceptions=value("NO_PROXY")
    )


def _parse(text: str, variable: str) -> Proxy:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InvalidArgument(
            f"cannot use the proxy that {variable} names",
            "set it to an address as http://proxy.example:3128, or unset it",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    return Proxy(url=f"{parts.scheme}://{host}:{port or _PORTS[parts.scheme]}", user=user)


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    return any(_fits(host, port, each.strip().lower()) for each in exceptions.split(",") if each)


def _fits(host: str, port: int, pattern: str) -> bool:
    if pattern == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        pass
    name, colon, wanted = pattern.rpartition(":")
    if colon and wanted.isdigit():
        if int(wanted) != port:
            return False
        pattern = name.strip("[]")
    pattern = pattern.removeprefix("*")
    if pattern.startswith("."):
        return host.endswith(pattern)
    return bool(pattern) and (host == pattern or host.endswith(f".{pattern}"))


def _without_user(text: str) -> str:
    if "@" not in text:
        return text
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
    except ValueError:
        return "xxxxx"
    return urlunsplit(parts._replace(netloc=f"xxxxx:xxxxx@{parts.netloc.rpartition('@')[2]}"))
