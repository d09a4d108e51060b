"""The records of all containers: in memory, with the database behind.

What happens to containers is `engine.containers`.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from dockerlab.engine.container import Container, ContainerId
from dockerlab.engine.database import Database
from dockerlab.engine.filters import select_containers
from dockerlab.engine.images import Images
from dockerlab.errors import Conflict, ContainerNotFound

__all__ = ["Roster"]


class Roster:
    """Finds containers by name, id, beginning of an id, or filter; writes before it shows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._records: dict[ContainerId, Container] = {}
        self._ids: dict[str, ContainerId] = {}

    def load(self) -> None:
        """Read the database."""
        for container in self._database.containers():
            self._show(container)

    def all(self) -> Iterable[Container]:
        """Return every record, in no order; the view is a copy."""
        return list(self._records.values())

    @property
    def names(self) -> AbstractSet[str]:
        """The names in use."""
        return self._ids.keys()

    def __contains__(self, container_id: object) -> bool:
        return container_id in self._records

    def save(self, container: Container) -> Container:
        """Write a record, then show it.

        Raises
        ------
        Conflict
            Another container has its name.
        """
        owner = self._ids.get(container.name, container.id)
        if owner != container.id:
            raise Conflict(
                f'Conflict. The container name "/{container.name}" is already in use by container '
                f'"{owner}". You have to remove (or rename) that container to be able to reuse '
                "that name."
            )
        self._database.save_container(container)
        self._show(container)
        return container

    def forget(self, container: Container) -> None:
        """Delete the record."""
        self._database.delete_container(container.id)
        del self._records[container.id], self._ids[container.name]

    def get(self, name: str) -> Container:
        """Return the container that a name, an id or the beginning of an id means.

        Raises
        ------
        ContainerNotFound
            None; Conflict when several ids begin like that.
        """
        key = name.removeprefix("/")
        container_id = ContainerId(key) if key in self._records else self._ids.get(key)
        if container_id is not None:
            return self._records[container_id]
        found = [cid for cid in self._records if key and cid.startswith(key)]
        if len(found) > 1:
            raise Conflict(f"multiple IDs found with provided prefix: {key}")
        if not found:
            raise ContainerNotFound(name)
        return self._records[found[0]]

    def list(
        self,
        images: Images,
        *,
        include_stopped: bool,
        limit: int,
        filters: Mapping[str, Sequence[str]],
    ) -> list[Container]:
        """Newest first; `limit` 0 is no limit.

        A limit, or a filter on states, includes stopped ones.
        """
        everything = include_stopped or limit > 0 or bool({"status", "exited"} & set(filters))
        found = [c for c in self._records.values() if everything or c.state.is_running]
        found.sort(key=lambda container: container.created_at, reverse=True)
        selected = select_containers(
            found, filters, resolve=self.get, ancestor_ids=images.ids_named
        )
        return selected[:limit] if limit > 0 else selected

    def _show(self, container: Container) -> None:
        previous = self._records.get(container.id)
        if previous is not None and previous.name != container.name:
            del self._ids[previous.name]
        self._records[container.id] = container
        self._ids[container.name] = container.id
