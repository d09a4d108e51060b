"""The keeper of volumes: which there are, and what may be deleted.

A volume is a record and a folder ``volumes/<name>/_data``. Who uses it is read from the records of
the containers, so nothing has to be kept in step. Only the zygote may look into the folders: their
files have owners of its user namespace.
"""

import builtins
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from dockerlab.engine.asking import ask
from dockerlab.engine.container import Container
from dockerlab.engine.database import Database
from dockerlab.engine.events import Events
from dockerlab.engine.filters import select_volumes
from dockerlab.engine.folders import Folders
from dockerlab.engine.mount import Mount
from dockerlab.engine.names import new_id
from dockerlab.engine.spawner import Spawner
from dockerlab.engine.volume import DRIVER, Volume, VolumePrune
from dockerlab.errors import Conflict, InvalidArgument, NotFound, Unsupported, VolumeNotFound

__all__ = ["Volumes", "check_options"]

_OPTIONS = frozenset({"type", "device", "o"})


class Volumes:
    """All volumes of a data root.

    Parameters
    ----------
    containers : callable
        Returns the records of all containers.
    """

    def __init__(
        self,
        database: Database,
        folders: Folders,
        events: Events,
        spawner: Spawner,
        containers: Callable[[], Iterable[Container]],
    ) -> None:
        self._database = database
        self._folders = folders
        self._events = events
        self._spawner = spawner
        self._containers = containers
        self._records: dict[str, Volume] = {}

    def load(self) -> None:
        """Read the database; finish what was half made or half removed."""
        self._records = {volume.name: volume for volume in self._database.volumes()}
        for name in self._records:
            self._folders.make_volume(name)
        for path in self._folders.volume_trash():
            self._spawner.submit("remove_tree", {"root": str(path.parent), "path": str(path)})

    def get(self, name: str) -> Volume:
        """Return a volume, or raise VolumeNotFound."""
        if name not in self._records:
            raise VolumeNotFound(name)
        return self._records[name]

    def list(self, filters: Mapping[str, Sequence[str]]) -> builtins.list[Volume]:
        """Return the volumes that the filters admit, by name; see `select_volumes`."""
        everything = sorted(self._records.values(), key=lambda volume: volume.name)
        return select_volumes(everything, filters, users=self._users)

    def create(
        self,
        name: str,
        *,
        driver: str = "",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume; one that is there already is returned as it is, as in Docker.

        Parameters
        ----------
        name : str
            Checked by the caller; '' has one chosen.

        Raises
        ------
        NotFound
            There is no such driver.
        InvalidArgument, Unsupported
            The driver does not take the options.
        """
        if driver not in ("", DRIVER):
            raise NotFound(
                f"create {name or 'volume'}: error looking up volume plugin {driver}: plugin"
                f' "{driver}" not found; there is only "{DRIVER}"'
            )
        check_options(name, options or {})
        if name in self._records:
            return self._records[name]
        is_anonymous = not name
        return self._make(name or new_id(), labels or {}, options or {}, is_anonymous=is_anonymous)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Delete a volume with its files; `force` is content with one that is not there.

        Raises
        ------
        Conflict
            A container has it, running or not.
        """
        if force and name not in self._records:
            return
        self._delete(self.get(name))

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> VolumePrune:
        """Delete the volumes that no container has: anonymous ones, or with ``all=true`` any."""
        wanted = dict(filters)
        everything = any(value.lower() in ("true", "1") for value in wanted.pop("all", []))
        unknown = wanted.keys() - {"label", "label!"}
        if unknown:
            raise InvalidArgument(f"invalid filter '{min(unknown)}'")
        names, freed_bytes = [], 0
        for volume in self.list({**wanted, "dangling": ["true"]}):
            if not everything and not volume.is_anonymous:
                continue
            size_bytes = await self.size_bytes(volume.name)
            try:
                self._delete(volume)
            except (Conflict, VolumeNotFound):
                continue  # taken, or removed by somebody else, while it was measured
            names.append(volume.name)
            freed_bytes += size_bytes
        return VolumePrune(names=tuple(names), freed_bytes=freed_bytes)

    async def size_bytes(self, name: str) -> int:
        """Return the bytes of the files in a volume."""
        answer = await ask(self._spawner, "measure_tree", {"path": self.get(name).path})
        return int(answer or 0)

    def provide(self, mounts: Iterable[Mount]) -> None:
        """Make the volumes that a container's mounts name and that are not there."""
        for mount in mounts:
            if mount.kind == "volume" and mount.source not in self._records:
                self._make(
                    mount.source, mount.labels, mount.options, is_anonymous=mount.is_anonymous
                )

    def release(self, mounts: Iterable[Mount]) -> None:
        """Delete the anonymous volumes among the mounts of a container that is gone."""
        for mount in mounts:
            volume = self._records.get(mount.source) if mount.is_anonymous else None
            if volume is not None and not self._users(volume.name):
                self._delete(volume)

    def _users(self, name: str) -> builtins.list[str]:
        return [
            container.id
            for container in self._containers()
            if any(mount.kind == "volume" and mount.source == name for mount in container.mounts)
        ]

    def _make(
        self,
        name: str,
        labels: Mapping[str, str],
        options: Mapping[str, str],
        *,
        is_anonymous: bool,
    ) -> Volume:
        volume = Volume(
            name=name,
            created_at=datetime.now(UTC).replace(microsecond=0),
            path=str(self._folders.volume_data(name)),
            labels=dict(labels),
            options=dict(options),
            is_anonymous=is_anonymous,
        )
        self._database.save_volume(volume)
        self._folders.make_volume(name)
        self._records[name] = volume
        self._events.publish("volume", "create", name, {"driver": DRIVER})
        return volume

    def _delete(self, volume: Volume) -> None:
        users = self._users(volume.name)
        if users:
            raise Conflict(f"remove {volume.name}: volume is in use - [{', '.join(users)}]")
        trash = self._folders.discard_volume(volume.name)
        self._database.delete_volume(volume.name)
        self._records.pop(volume.name, None)
        if trash is not None:
            self._spawner.submit("remove_tree", {"root": str(trash.parent), "path": str(trash)})
        self._events.publish("volume", "destroy", volume.name, {"driver": DRIVER})


def check_options(name: str, options: Mapping[str, str]) -> None:
    """Refuse what the driver does not do: it binds a folder of the host, and nothing else.

    Raises
    ------
    InvalidArgument
        An unknown option, or one that misses its others.
    Unsupported
        Another type of file system.
    """
    if not options:
        return
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise InvalidArgument(
            f'create {name}: invalid option: "{unknown[0]}"; there are type, device and o'
        )
    for needed in ("device", "type"):
        if not options.get(needed):
            raise InvalidArgument(f'create {name}: missing required option: "{needed}"')
    words = options.get("o", "").split(",")
    if options["type"] != "none" or not {"bind", "rbind"} & set(words):
        raise Unsupported(
            f'a volume of type "{options["type"]}" is not supported by this version of dockerlab',
            "there is type=none with o=bind and a folder of the host as device; for a tmpfs of one"
            " container use --tmpfs",
        )
    if not set(words) <= {"bind", "rbind", "ro", "rw"}:
        raise InvalidArgument(
            f'create {name}: invalid option: "o={options["o"]}"; there are bind, rbind, ro, rw'
        )
    if not options["device"].startswith("/"):
        raise InvalidArgument(f'the device "{options["device"]}" must be an absolute path')
