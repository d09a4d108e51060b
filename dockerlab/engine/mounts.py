"""Which mounts a container has, in which order, and how they stand in a spec. Pure functions.

The rules are dockerd's: mounts of other containers come first, ``-v`` and ``--mount`` take their
places, and what the image declares as a volume gets an anonymous one where nothing else is.
"""

import posixpath
from collections.abc import Callable, Iterable, Sequence

import msgspec

from dockerlab.engine import names
from dockerlab.engine.mount import Mount
from dockerlab.errors import ContainerNotFound, InvalidArgument
from dockerlab.oci.runtimespec import Mount as SpecMount

__all__ = ["choose_mounts", "inherit", "named", "spec_mounts", "with_user_mounts"]

_DEV = "/dev"


def choose_mounts(
    requested: Iterable[Mount], inherited: Iterable[Mount], volumes: Iterable[str]
) -> tuple[Mount, ...]:
    """Return all mounts of a new container, parents before what is mounted below them.

    Parameters
    ----------
    requested : iterable of Mount
        Of ``-v`` and ``--mount``.
    inherited : iterable of Mount
        Of other containers (``--volumes-from``).
    volumes : iterable of str
        Paths that the image, or ``-v PATH``, declares.

    Raises
    ------
    InvalidArgument
        Two are asked for at one place, or an image declares an impossible one.
    """
    chosen = {mount.destination: mount for mount in inherited}
    seen: set[str] = set()
    for mount in requested:
        if mount.destination in seen:
            raise InvalidArgument(f"Duplicate mount point: {mount.destination}")
        seen.add(mount.destination)
        chosen[mount.destination] = mount
    for path in map(_declared, volumes):
        chosen.setdefault(path, Mount(kind="volume", destination=path, is_anonymous=True))
    return tuple(sorted(map(named, chosen.values()), key=_depth))


def _declared(path: str) -> str:
    clean = "/" + posixpath.normpath(f"/{path}").lstrip("/")
    if clean == "/" or f"{clean}/".startswith("/proc/"):
        raise InvalidArgument(f'the image declares a volume at "{clean}", where none can be')
    return clean


def named(mount: Mount) -> Mount:
    """Return the mount with a name for its volume: 64 hex digits where nobody gave one."""
    if mount.kind != "volume" or mount.source:
        return mount
    return msgspec.structs.replace(mount, source=names.new_id())


def inherit(specs: Sequence[str], mounts_of: Callable[[str], Sequence[Mount]]) -> list[Mount]:
    """Return the mounts that ``--volumes-from CONTAINER[:ro]`` brings along.

    Parameters
    ----------
    mounts_of : callable
        Name of a container -> its mounts; raises ContainerNotFound.
    """
    found = []
    for spec in specs:
        name, _, mode = spec.partition(":")
        if not name or not set(mode.split(",")) <= {"", "ro", "rw", "z"}:
            raise InvalidArgument(f"invalid volumes-from specification: {spec}")
        is_read_only = "ro" in mode.split(",")
        try:
            mounts = mounts_of(name)
        except ContainerNotFound as exc:
            # Clients take "not found" at a creation for a missing image, and would pull it.
            raise InvalidArgument(exc.message) from exc
        found += [
            msgspec.structs.replace(mount, is_read_only=mount.is_read_only or is_read_only)
            for mount in mounts
        ]
    return found


def spec_mounts(mounts: Iterable[Mount], source_of: Callable[[Mount], str]) -> list[SpecMount]:
    """Return the mounts as a spec has them: runtime-spec/config.md#mounts.

    Parameters
    ----------
    source_of : callable
        A bind or a volume -> the host's path.
    """
    return [_spec_mount(mount, source_of) for mount in mounts]


def with_user_mounts(
    own: Iterable[SpecMount], managed: Iterable[SpecMount], users: Sequence[SpecMount]
) -> list[SpecMount]:
    """Join the engine's mounts with the user's, which take the places of others.

    The managed files come behind a user's mount of their folder, which would hide them. A user's
    /dev takes everything below it, too: nothing of ours is to be made in a folder of the host.
    """
    taken = {mount["destination"] for mount in users}
    kept = [
        mount
        for mount in own
        if mount["destination"] not in taken
        and not (_DEV in taken and mount["destination"].startswith(f"{_DEV}/"))
    ]
    files = [mount for mount in managed if mount["destination"] not in taken]
    return kept + sorted([*files, *users], key=lambda mount: mount["destination"].count("/"))


def _spec_mount(mount: Mount, source_of: Callable[[Mount], str]) -> SpecMount:
    access = ["ro"] if mount.is_read_only else []
    if mount.kind == "tmpfs":
        options = ["nosuid", "nodev", "noexec", *access, f"mode={mount.file_mode:o}"]
        options += [f"size={mount.size_bytes}"] if mount.size_bytes else []
        return {
            "destination": mount.destination,
            "type": "tmpfs",
            "source": "tmpfs",
            "options": options,
        }
    kind = "rbind" if mount.is_recursive else "bind"
    return {
        "destination": mount.destination,
        "type": "bind",
        "source": source_of(mount),
        "options": [kind, *access, mount.propagation or "rprivate"],
    }


def _depth(mount: Mount) -> int:
    return mount.destination.count("/")
