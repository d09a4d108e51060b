"""Texts of the docker command line's flags as JSON of the Engine API: all but places of files.

Each function reads one flag's values and decides nothing else. The grammars are those of
docker-run(1); what an engine takes is its own affair. Places of files are `mountgrammar`'.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dockerlab.errors import InvalidArgument
from dockerlab.units import parse_duration

__all__ = [
    "pairs",
    "port_bindings",
    "port_names",
    "read_device",
    "read_number",
    "restart_policy",
    "security_options",
    "texts",
    "to_nanoseconds",
    "ulimit",
]

Json = dict[str, Any]
Texts = str | Sequence[str]
_NO_PATHS = "systempaths=unconfined"
_PROTOCOLS = ("tcp", "udp", "sctp")
_MOST_PORTS = 65_535


def texts(value: Texts | None) -> list[str]:
    """Return one text or several as a list."""
    if not value:
        return []
    return [value] if isinstance(value, str) else list(value)


def pairs(value: Mapping[str, Any] | Texts | None) -> dict[str, str]:
    """Return a mapping, or ``NAME=VALUE`` texts as one."""
    if isinstance(value, Mapping):
        return {name: str(each) for name, each in value.items()}
    return {name: each for name, _, each in (text.partition("=") for text in texts(value))}


def read_number(flag: str, value: object) -> int:
    """Return a whole number, or raise InvalidArgument that names the flag."""
    try:
        return int(str(value))
    except ValueError:
        raise InvalidArgument(f'invalid number "{value}" for --{flag}') from None


def to_nanoseconds(value: str | float) -> int:
    """Return a duration in Go's spelling, or in seconds, in nanoseconds."""
    seconds = parse_duration(value) if isinstance(value, str) else float(value)
    return round(seconds * 1e9)


def restart_policy(text: str) -> Json:
    """Read ``--restart``.

    Examples
    --------
    >>> restart_policy("on-failure:3")
    {'Name': 'on-failure', 'MaximumRetryCount': 3}
    """
    name, colon, count = text.partition(":")
    return {"Name": name, "MaximumRetryCount": read_number("restart", count) if colon else 0}


def ulimit(text: str) -> Json:
    """Read ``--ulimit``.

    Examples
    --------
    >>> ulimit("nofile=100:200"), ulimit("core=0")
    ({'Name': 'nofile', 'Soft': 100, 'Hard': 200}, {'Name': 'core', 'Soft': 0, 'Hard': 0})
    """
    name, equals, limits = text.partition("=")
    if not name or not equals:
        raise InvalidArgument(f'invalid ulimit: "{text}"', "write NAME=SOFT[:HARD]")
    soft, colon, hard = limits.partition(":")
    least = read_number("ulimit", soft)
    return {"Name": name, "Soft": least, "Hard": read_number("ulimit", hard) if colon else least}


def read_device(text: str) -> Json:
    """Read ``--device``.

    Examples
    --------
    >>> list(read_device("/dev/a:/dev/b:r").values())
    ['/dev/a', '/dev/b', 'r']
    """
    on_host, *rest = text.split(":")
    permissions = "rwm"
    if rest and not set(rest[-1]) - set("rwm") and rest[-1]:
        permissions = rest.pop()
    if len(rest) > 1 or not on_host:
        raise InvalidArgument(f'invalid device: "{text}"', "write /dev/HERE[:/dev/THERE][:rwm]")
    inside = rest[0] if rest else on_host
    return {"PathOnHost": on_host, "PathInContainer": inside, "CgroupPermissions": permissions}


def security_options(options: Texts | None) -> Json:
    """Read ``--security-opt``; the file of a seccomp profile is read, for engines want its text.

    Raises
    ------
    InvalidArgument
        The file cannot be read, or is not JSON.
    """
    given = texts(options)
    fields: Json = {}
    if _NO_PATHS in given:
        fields = {"MaskedPaths": [], "ReadonlyPaths": []}
    passed = [_with_profile(option) for option in given if option != _NO_PATHS]
    return fields | ({"SecurityOpt": passed} if passed else {})


def _with_profile(option: str) -> str:
    kind, _, name = option.replace(":", "=", 1).partition("=")
    if kind != "seccomp" or name in ("unconfined", "builtin", "") or name.startswith("{"):
        return option
    try:
        profile = json.loads(Path(name).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidArgument(f'cannot read the seccomp profile "{name}": {reason}') from error
    except ValueError as error:
        raise InvalidArgument(f'the seccomp profile "{name}" is not JSON: {error}') from error
    return f"seccomp={json.dumps(profile, separators=(',', ':'))}"


def port_bindings(ports: Iterable[str]) -> dict[str, list[dict[str, str]]]:
    """Read ``--publish``: ``[[ADDRESS:]HERE:]THERE[/PROTOCOL]``, each port or ``FIRST-LAST``.

    Examples
    --------
    >>> port_bindings(["127.0.0.1:8080:80"])
    {'80/tcp': [{'HostIp': '127.0.0.1', 'HostPort': '8080'}]}
    """
    found: dict[str, list[dict[str, str]]] = {}
    for text in ports:
        place, _, protocol = text.partition("/")
        rest, _, inside = place.rpartition(":")
        address, _, outside = rest.rpartition(":")
        there, here = _range(inside, text), _range(outside, text) if outside else []
        if here and len(there) == 1 and len(here) > 1:
            # The engine chooses one of them.
            here = [outside]
        if here and len(here) != len(there):
            raise InvalidArgument(f'the ranges of ports in "{text}" are not of one length')
        for number, port in enumerate(there):
            binding = {"HostIp": address.strip("[]"), "HostPort": here[number] if here else ""}
            found.setdefault(f"{port}/{_protocol(protocol, text)}", []).append(binding)
    return found


def port_names(ports: Iterable[str]) -> dict[str, Json]:
    """Return the ports inside that are published, as ``ExposedPorts`` has them."""
    return {name: {} for name in port_bindings(ports)}


def _protocol(word: str, text: str) -> str:
    if word not in ("", *_PROTOCOLS):
        raise InvalidArgument(f'invalid protocol in "{text}"', f"there are {', '.join(_PROTOCOLS)}")
    return word or "tcp"


def _range(ports: str, text: str) -> list[str]:
    first, dash, last = ports.partition("-")
    try:
        begin, end = int(first), int(last if dash else first)
    except ValueError:
        raise InvalidArgument(f'invalid port in "{text}"', "write HERE:THERE, as 8080:80") from None
    if not 0 < begin <= end <= _MOST_PORTS:
        raise InvalidArgument(f'invalid port in "{text}"', "ports are between 1 and 65535")
    return [str(port) for port in range(begin, end + 1)]
