"""``-v``, ``--mount`` and ``--tmpfs`` as JSON of the Engine API.

The grammars are those of docker-run(1): fields between colons, and comma-separated ``key=value``.
A relative path of this machine is made absolute, as the docker command line does.
"""

import csv
import os
from collections.abc import Iterable
from typing import Any

from dockerlab.errors import InvalidArgument
from dockerlab.units import parse_size

__all__ = ["binds", "read_mount", "tmpfs", "volume_places"]

Json = dict[str, Any]
_TRUE = ("", "true", "1")
_FALSE = ("false", "0")
_KINDS = ("bind", "volume", "tmpfs")

# Key of --mount -> field of the API's Mount, below its groups, and how the value is read.
_DRIVER = ("VolumeOptions", "DriverConfig")
_KEYS: dict[str, tuple[tuple[str, ...], str]] = {
    "type": (("Type",), "text"),
    **dict.fromkeys(("source", "src"), (("Source",), "text")),
    **dict.fromkeys(("target", "destination", "dst"), (("Target",), "text")),
    **dict.fromkeys(("readonly", "ro"), (("ReadOnly",), "truth")),
    "bind-propagation": (("BindOptions", "Propagation"), "text"),
    "volume-nocopy": (("VolumeOptions", "NoCopy"), "truth"),
    "volume-driver": ((*_DRIVER, "Name"), "text"),
    "volume-opt": ((*_DRIVER, "Options"), "pair"),
    "volume-label": (("VolumeOptions", "Labels"), "pair"),
    "tmpfs-size": (("TmpfsOptions", "SizeBytes"), "size"),
    "tmpfs-mode": (("TmpfsOptions", "Mode"), "mode"),
}


def binds(values: Iterable[str]) -> list[str]:
    """Return the values of ``-v`` that have a source, as ``HostConfig.Binds`` has them.

    Examples
    --------
    >>> binds(["data:/data", "/anonymous", "/srv:/srv:ro"])
    ['data:/data', '/srv:/srv:ro']
    """
    return [_absolute(value) for value in values if ":" in value]


def volume_places(values: Iterable[str]) -> dict[str, Json]:
    """Return the values of ``-v`` that are anonymous volumes, as ``Config.Volumes`` has them."""
    return {value: {} for value in values if ":" not in value}


def _absolute(value: str) -> str:
    source, _, rest = value.partition(":")
    if source.startswith((".", "~")):
        source = os.path.abspath(os.path.expanduser(source))  # noqa: PTH100, PTH111 - no links are followed
    return f"{source}:{rest}"


def tmpfs(values: Iterable[str]) -> dict[str, str]:
    """Read ``--tmpfs``: ``PATH[:OPTIONS]``."""
    return {path: options for path, _, options in (value.partition(":") for value in values)}


def read_mount(text: str) -> Json:
    """Read ``--mount``.

    Raises
    ------
    InvalidArgument
        A key is unknown, or lacks its value.

    Examples
    --------
    >>> read_mount("type=bind,source=/srv,target=/srv,readonly")
    {'Type': 'bind', 'Source': '/srv', 'Target': '/srv', 'ReadOnly': True}
    """
    mount: Json = {"Type": "volume"}
    # A value with a comma stands in quotes, as in CSV.
    for word in next(csv.reader([text]), []):
        key, equals, value = word.partition("=")
        _read(mount, key.strip().lower(), value, word if equals else f"{word}=")
    if "Target" not in mount:
        raise InvalidArgument(f'the mount "{text}" has no target', "add target=/path/inside")
    if mount["Type"] not in _KINDS:
        raise InvalidArgument(
            f'invalid type "{mount["Type"]}" of a mount', f"there are {', '.join(_KINDS)}"
        )
    if mount["Type"] == "bind" and str(mount.get("Source", "")).startswith((".", "~")):
        mount["Source"] = _absolute(f"{mount['Source']}:").removesuffix(":")
    return mount


def _read(mount: Json, key: str, value: str, word: str) -> None:
    if key not in _KEYS:
        raise InvalidArgument(
            f'unknown key "{key}" in --mount', "type, source, target, readonly, and others"
        )
    (*groups, field), kind = _KEYS[key]
    place = mount
    for group in groups:
        place = place.setdefault(group, {})
    if kind == "pair":
        name, _, each = value.partition("=")
        place.setdefault(field, {})[name] = each
    else:
        place[field] = _value(kind, value, word)


def _value(kind: str, value: str, word: str) -> str | int | bool:
    match kind:
        case "truth":
            return _truth(value, word)
        case "size":
            return parse_size(value)
        case "mode":
            return _mode(value)
    return value


def _truth(value: str, word: str) -> bool:
    if value.lower() not in (*_TRUE, *_FALSE):
        raise InvalidArgument(f'invalid value in --mount: "{word}"', "write true or false")
    return value.lower() in _TRUE


def _mode(value: str) -> int:
    try:
        return int(value, 8)
    except ValueError:
        raise InvalidArgument(f'invalid mode "{value}" in --mount', "write it as 1777") from None
