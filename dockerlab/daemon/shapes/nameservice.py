"""What a client says of names and addresses: extra hosts, name servers, search lists.

Engine API, HostConfig, "ExtraHosts" and "Dns". They become lines of files that every program of a
container reads, so nothing may be in them that would begin another line.
"""

import ipaddress
from collections.abc import Iterable

from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["parse_extra_hosts", "parse_servers", "parse_words"]

_GATEWAY = "host-gateway"


def parse_extra_hosts(entries: Iterable[str]) -> tuple[str, ...]:
    """Check ``NAME:ADDRESS`` of each ``--add-host``.

    Raises
    ------
    InvalidArgument
        Not of that form.
    Unsupported
        ``host-gateway``: which network it would be of is not known yet.
    """
    for entry in entries:
        name, _, address = entry.partition(":")
        if not name or not _is_word(name) or not address:
            raise InvalidArgument(f'bad format for add-host: "{entry}"')
        if address == _GATEWAY:
            raise Unsupported(
                "--add-host NAME:host-gateway is not supported by this version of dockerlab",
                "give the gateway's address, as docker network inspect shows it",
            )
        if not _is_address(address.strip("[]")):
            raise InvalidArgument(f'invalid IP address in add-host: "{address}"')
    return tuple(entries)


def parse_servers(servers: Iterable[str]) -> tuple[str, ...]:
    """Check the addresses of ``--dns``; raise InvalidArgument for what is none."""
    for server in servers:
        if not _is_address(server):
            raise InvalidArgument(f"{server} is not an ip address")
    return tuple(servers)


def parse_words(key: str, words: Iterable[str]) -> tuple[str, ...]:
    """Check that each word is one; raise InvalidArgument naming `key`."""
    for word in words:
        if not _is_word(word):
            raise InvalidArgument(f'invalid value "{word}" for "{key}"')
    return tuple(words)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_word(text: str) -> bool:
    return bool(text) and text.isprintable() and not any(c.isspace() for c in text)
