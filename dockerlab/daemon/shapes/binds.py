"""Bind mounts in a client's JSON: ``HostConfig.Binds`` and ``HostConfig.Mounts``, both ways.

Whether the tier of this host can give them is the engine's to say. Engine API, HostConfig and
Mount; the words of the errors are dockerd's.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dockerlab.engine.container import Bind
from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["mount_points", "read_binds", "volume_strings"]

# What changes nothing here: labels of SELinux, and the propagation that there is.
_HARMLESS = {"rw", "ro", "z", "Z", "private", "rprivate", "nocopy"}
_WITH_OPTIONS = 3


def read_binds(raw: Mapping[str, Any]) -> tuple[Bind, ...]:
    """Return the bind mounts that a HostConfig asks for.

    Raises
    ------
    InvalidArgument
        One that cannot be right.
    Unsupported
        A named volume, or a mount of another type.
    """
    volumes = raw.get("Binds") or ()
    mounts = raw.get("Mounts") or ()
    if not isinstance(volumes, Sequence) or not isinstance(mounts, Sequence):
        raise InvalidArgument("invalid HostConfig: Binds and Mounts are lists")
    binds = (*map(_read_volume, volumes), *map(_read_mount, mounts))
    targets = [bind.target for bind in binds]
    for target in targets:
        if targets.count(target) > 1:
            raise InvalidArgument(f"Duplicate mount point: {target}")
    return binds


def volume_strings(binds: Sequence[Bind]) -> list[str] | None:
    """Return the ``Binds`` of a container."""
    shown = [
        f"{bind.source}:{bind.target}{':ro' if bind.is_readonly else ''}"
        for bind in binds
        if bind.is_volume
    ]
    return shown or None


def mount_points(binds: Sequence[Bind]) -> list[dict[str, Any]]:
    """Return the ``Mounts`` of a container, as inspect shows them."""
    return [
        {
            "Type": "bind",
            "Source": bind.source,
            "Destination": bind.target,
            "Mode": "ro" if bind.is_readonly else "",
            "RW": not bind.is_readonly,
            "Propagation": "rprivate",
        }
        for bind in binds
    ]


def _read_volume(text: object) -> Bind:
    parts = text.split(":") if isinstance(text, str) else []
    if not 2 <= len(parts) <= _WITH_OPTIONS:  # noqa: PLR2004 - source and target at least
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    options = set(parts[2].split(",")) if len(parts) == _WITH_OPTIONS else set()
    if options - _HARMLESS:
        raise InvalidArgument(f"invalid mode: {parts[2]}")
    if not parts[0].startswith("/"):
        raise Unsupported("--volume with a name is not supported by this version of dockerlab")
    return _bind(parts[0], parts[1], is_readonly="ro" in options, is_volume=True)


def _read_mount(mount: object) -> Bind:
    if not isinstance(mount, Mapping) or mount.get("Type") != "bind":
        kind = mount.get("Type") if isinstance(mount, Mapping) else mount
        raise Unsupported(f"--mount type={kind} is not supported by this version of dockerlab")
    options = mount.get("BindOptions") or {}
    propagation = options.get("Propagation") if isinstance(options, Mapping) else None
    if propagation not in (None, "", "private", "rprivate"):
        raise Unsupported("--mount bind-propagation is not supported by this version of dockerlab")
    source, target = str(mount.get("Source") or ""), str(mount.get("Target") or "")
    if not source.startswith("/"):
        raise InvalidArgument(
            f"invalid mount config for type \"bind\": invalid mount path: '{source}' mount path"
            " must be absolute"
        )
    return _bind(source, target, is_readonly=bool(mount.get("ReadOnly")), is_volume=False)


def _bind(source: str, target: str, *, is_readonly: bool, is_volume: bool) -> Bind:
    place = PurePosixPath(target)
    if not place.is_absolute() or "\0" in source + target:
        raise InvalidArgument(f"invalid mount path: '{target}' mount path must be absolute")
    if ".." in place.parts:
        raise InvalidArgument(f"invalid mount path: '{target}' must not hold '..'")
    if place == PurePosixPath("/"):
        raise InvalidArgument("invalid volume specification: destination can't be '/'")
    return Bind(source=source, target=str(place), is_readonly=is_readonly, is_volume=is_volume)
