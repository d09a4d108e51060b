"""What a client says of mounts (``Binds``, ``Mounts``, ``Volumes``) as records, and back again.

The grammars are those of ``-v`` (``SOURCE:DESTINATION[:MODE]``) and of ``--mount``. Engine API,
HostConfig, "Binds" and "Mounts". Whether a source exists is the engine's business.
"""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dockerlab.engine.mount import Mount
from dockerlab.engine.volume import check_volume_name
from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["mount_points", "parse_binds", "parse_mounts", "parse_paths"]

Json = dict[str, Any]

_ACCESS = {"rw", "ro"}
_LABELS = {"z", "Z"}
_PROPAGATIONS = {"private", "rprivate", "slave", "rslave"}
_SHARED = {"shared", "rshared"}
_NO_COPY = "nocopy"
_PARTS = 3
_ONLY_DESTINATION, _WITH_SOURCE = 1, 2
_DRIVER = "local"


class _BindOptions(msgspec.Struct, kw_only=True, rename="pascal"):
    propagation: str | None = None
    non_recursive: bool | None = None
    create_mountpoint: bool | None = None
    read_only_non_recursive: bool | None = None
    read_only_force_recursive: bool | None = None


class _Driver(msgspec.Struct, kw_only=True, rename="pascal"):
    name: str | None = None
    options: dict[str, str] | None = None


class _VolumeOptions(msgspec.Struct, kw_only=True, rename="pascal"):
    no_copy: bool | None = None
    labels: dict[str, str] | None = None
    driver_config: _Driver | None = None
    subpath: str | None = None


class _TmpfsOptions(msgspec.Struct, kw_only=True, rename="pascal"):
    size_bytes: int | None = None
    mode: int | None = None
    options: list[list[str]] | None = None


class _MountBody(msgspec.Struct, kw_only=True, rename="pascal"):
    type: str | None = None
    source: str | None = None
    target: str | None = None
    read_only: bool | None = None
    consistency: str | None = None
    bind_options: _BindOptions | None = None
    volume_options: _VolumeOptions | None = None
    tmpfs_options: _TmpfsOptions | None = None


def parse_binds(binds: Sequence[str], driver: str = "") -> list[Mount]:
    """Read what stands behind each ``-v``.

    Parameters
    ----------
    driver : str
        ``--volume-driver``, for volumes that are made.

    Raises
    ------
    InvalidArgument
        Not of the grammar; Unsupported for a way of propagation that the design does not allow.
    """
    return [_parse_bind(text, driver) for text in binds]


def parse_mounts(mounts: Iterable[Any]) -> list[Mount]:
    """Read the list ``Mounts``; raises as `parse_binds`."""
    try:
        bodies = msgspec.convert(list(mounts), list[_MountBody])
    except msgspec.ValidationError as exc:
        raise InvalidArgument(f"invalid Mounts: {exc}") from exc
    return [_parse_mount(body) for body in bodies]


def parse_paths(volumes: Iterable[str]) -> tuple[str, ...]:
    """Read the keys of ``Volumes``: where anonymous volumes are wanted."""
    paths = []
    for text in volumes:
        # docker-py leaves the mode behind the path of a bind, and dockerd takes that for a path.
        if not text.startswith("/"):
            raise InvalidArgument(f'invalid volume specification: "{text}"')
        paths.append(_destination(text, text))
    return tuple(paths)


def mount_points(mounts: Sequence[Mount], paths: Mapping[str, str]) -> list[Json]:
    """Return ``Mounts`` of an inspected container (Engine API, MountPoint).

    Parameters
    ----------
    paths : mapping
        The folder of each volume by its name.
    """
    return [_mount_point(mount, paths) for mount in mounts]


def _mount_point(mount: Mount, paths: Mapping[str, str]) -> Json:
    shape: Json = {"Type": mount.kind}
    if mount.kind == "volume":
        shape |= {"Name": mount.source, "Source": paths.get(mount.source, "")}
    else:
        shape |= {"Source": mount.source}
    shape["Destination"] = mount.destination
    if mount.kind == "volume":
        shape["Driver"] = _DRIVER
    propagation = mount.propagation or ("rprivate" if mount.kind == "bind" else "")
    return shape | {
        "Mode": mount.mode,
        "RW": not mount.is_read_only,
        "Propagation": propagation,
    }


def _parse_bind(text: str, driver: str) -> Mount:
    parts = text.split(":")
    if "\0" in text or not 1 <= len(parts) <= _PARTS or not all(parts):
        raise InvalidArgument(f'invalid volume specification: "{text}"')
    if len(parts) == _ONLY_DESTINATION:
        destination = _destination(parts[0], text)
        return Mount(kind="volume", destination=destination, is_anonymous=True, driver=driver)
    source, target = parts[:_WITH_SOURCE]
    mode = parts[_WITH_SOURCE] if len(parts) == _PARTS else ""
    words = _mode_words(mode)
    destination = _destination(target, text)
    propagation = next((word for word in words if word in _PROPAGATIONS), "")
    if source.startswith("/"):
        if _NO_COPY in words:
            raise InvalidArgument(f'invalid mode: {mode}: "nocopy" is for volumes')
        return Mount(
            kind="bind",
            source=posixpath.normpath(source),
            destination=destination,
            mode=mode,
            is_read_only="ro" in words,
            propagation=propagation,
            makes_source=True,
        )
    if propagation:
        raise InvalidArgument(f"invalid mode: {mode}: a volume has no propagation")
    return Mount(
        kind="volume",
        source=check_volume_name(source),
        destination=destination,
        # dockerd shows the mode "z" for a volume where none is given.
        mode=mode or "z",
        is_read_only="ro" in words,
        is_copied_up=_NO_COPY not in words,
        driver=driver,
    )


def _mode_words(mode: str) -> set[str]:
    words = mode.split(",") if mode else []
    known = _ACCESS | _LABELS | _PROPAGATIONS | _SHARED | {_NO_COPY, "consistent"}
    known |= {"cached", "delegated", "default"}
    groups = (_ACCESS, _LABELS, _PROPAGATIONS | _SHARED, {_NO_COPY})
    if not set(words) <= known or any(sum(w in group for w in words) > 1 for group in groups):
        raise InvalidArgument(f"invalid mode: {mode}")
    _refuse_shared(*words)
    return set(words)


def _refuse_shared(*words: str) -> None:
    for word in words:
        if word in _SHARED:
            raise Unsupported(
                f'the propagation "{word}" would let mounts of a container appear on the host, and'
                " nothing that this engine mounts reaches the host",
                'use "rslave", with which mounts of the host appear in the container',
            )


def _destination(path: str, text: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise InvalidArgument(
            f"invalid volume specification: '{text}': invalid mount config for type \"bind\":"
            f" invalid mount path: '{path}' mount path must be absolute"
        )
    # Not normpath alone: that keeps a second slash at the beginning.
    clean = "/" + posixpath.normpath(path).lstrip("/")
    if clean == "/":
        raise InvalidArgument(
            f"invalid volume specification: '{text}': invalid mount config for type \"bind\":"
            " invalid specification: destination can't be '/'"
        )
    if clean == "/proc" or clean.startswith("/proc/"):
        raise InvalidArgument(
            f'"{clean}" cannot be mounted because it is inside /proc; choose another destination'
        )
    return clean


def _parse_mount(body: _MountBody) -> Mount:
    kind, source, target = body.type or "", body.source or "", body.target or ""
    if kind not in ("bind", "volume", "tmpfs"):
        raise _invalid(kind, "mount type unknown")
    if not target:
        raise _invalid(kind, "field Target must not be empty")
    if "\0" in source:
        raise _invalid(kind, "a path holds a NUL character")
    if not target.startswith("/"):
        raise _invalid(kind, f"invalid mount path: '{target}' mount path must be absolute")
    for name, given in (
        ("bind", body.bind_options),
        ("volume", body.volume_options),
        ("tmpfs", body.tmpfs_options),
    ):
        if given is not None and name != kind:
            raise _invalid(kind, f"field {name.title()}Options must not be specified")
    destination = _destination(target, target)
    read_only = bool(body.read_only)
    if kind == "bind":
        return _bind(source, destination, body.bind_options or _BindOptions(), read_only=read_only)
    if kind == "volume":
        options = body.volume_options or _VolumeOptions()
        return _volume(source, destination, options, read_only=read_only)
    return _tmpfs(source, destination, body.tmpfs_options or _TmpfsOptions(), read_only=read_only)


def _bind(source: str, destination: str, options: _BindOptions, *, read_only: bool) -> Mount:
    if not source:
        raise _invalid("bind", "field Source must not be empty")
    if not source.startswith("/"):
        raise _invalid("bind", f"invalid mount path: '{source}' mount path must be absolute")
    propagation = options.propagation or ""
    if propagation and propagation not in _PROPAGATIONS | _SHARED:
        raise _invalid("bind", f"invalid propagation mode: {propagation}")
    _refuse_shared(propagation)
    if options.read_only_non_recursive:
        raise Unsupported(
            "a read-only bind is read-only with all that is below it; the engine has no other kind",
            "leave bind-recursive=writable out",
        )
    return Mount(
        kind="bind",
        source=posixpath.normpath(source),
        destination=destination,
        is_read_only=read_only,
        is_recursive=not options.non_recursive,
        propagation=propagation,
        makes_source=bool(options.create_mountpoint),
    )


def _volume(source: str, destination: str, options: _VolumeOptions, *, read_only: bool) -> Mount:
    if options.subpath:
        raise Unsupported("volume-subpath is not supported by this version of dockerlab")
    if not source and read_only:
        raise _invalid("volume", "must not set ReadOnly mode when using anonymous volumes")
    driver = options.driver_config or _Driver()
    return Mount(
        kind="volume",
        source=check_volume_name(source) if source else "",
        destination=destination,
        mode="z",
        is_read_only=read_only,
        is_copied_up=not options.no_copy,
        is_anonymous=not source,
        driver=driver.name or "",
        options=driver.options or {},
        labels=options.labels or {},
    )


def _tmpfs(source: str, destination: str, options: _TmpfsOptions, *, read_only: bool) -> Mount:
    if source:
        raise _invalid("tmpfs", "field Source must not be specified")
    if options.options:
        raise Unsupported("tmpfs options other than tmpfs-size and tmpfs-mode are not supported")
    size, mode = options.size_bytes or 0, options.mode
    if size < 0 or (mode is not None and not 0 <= mode <= 0o7777):  # noqa: PLR2004 - chmod(2)
        raise _invalid("tmpfs", "a size or a mode is out of range")
    return Mount(
        kind="tmpfs",
        destination=destination,
        is_read_only=read_only,
        size_bytes=size,
        file_mode=0o1777 if mode is None else mode,
    )


def _invalid(kind: str, reason: str) -> InvalidArgument:
    return InvalidArgument(f'invalid mount config for type "{kind}": {reason}')
