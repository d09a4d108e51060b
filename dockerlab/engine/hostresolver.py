"""The name servers of the host, for containers that are not in its network namespace.

resolv.conf(5). A server on the host's loopback, as systemd-resolved's is, cannot be reached from
another namespace; then the servers behind it are what containers are told.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

__all__ = ["forwarded_servers", "host_resolver", "outside_servers"]

_RESOLV_CONF = Path("/etc/resolv.conf")
# Where systemd-resolved says what it asks itself (systemd-resolved.service(8)).
_RESOLVED_CONF = Path("/run/systemd/resolve/resolv.conf")
_STUB = "127.0.0.53"
# As Docker does where a host has no other (moby, libnetwork/resolvconf).
_LAST_RESORT = ("8.8.8.8", "8.8.4.4")


def host_resolver() -> str:
    """Return the host's resolv.conf, or what stands behind its stub; '' when there is none."""
    text = _read(_RESOLV_CONF)
    if list(_servers(text)) == [_STUB]:
        return _read(_RESOLVED_CONF) or text
    return text


def outside_servers(text: str) -> tuple[str, ...]:
    """Return the name servers of a resolv.conf that can be reached from another namespace."""
    found = tuple(each for each in _servers(text) if not ip_address(each).is_loopback)
    return found or _LAST_RESORT


def forwarded_servers() -> tuple[str, ...]:
    """Return the host's name servers, loopback ones too: they are asked from the host."""
    return tuple(_servers(host_resolver())) or _LAST_RESORT


def _servers(text: str) -> Iterator[str]:
    for words in (line.split() for line in text.splitlines()):
        if words[:1] == ["nameserver"] and len(words) > 1:
            address = words[1].partition("%")[0]
            try:
                ip_address(address)
            except ValueError:
                continue  # No address, so no resolver takes it either.
            yield address


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
