"""The metadata of a data root in one SQLite file: what exists, in transactions.

The keepers hold their records in memory and write here first; nothing else reads this file. A
write of one row takes some tens of microseconds with a write-ahead log, so it is done on the
daemon's loop (docs/decisions/0004).
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from dockerlab.engine.container import Container, ContainerId
from dockerlab.engine.event import Event
from dockerlab.engine.network import Network, NetworkId
from dockerlab.engine.volume import Volume
from dockerlab.errors import EngineFailure
from dockerlab.oci.digest import Digest

__all__ = ["Database", "ImageRow", "NameRow", "StepRow"]

SCHEMA_VERSION = 4
_MAX_EVENTS = 10_000

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE images (
    id TEXT PRIMARY KEY, manifest TEXT NOT NULL, source TEXT NOT NULL, pulled_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE image_layers (
    image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
    position INTEGER NOT NULL, diff_id TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    PRIMARY KEY (image_id, position)
) WITHOUT ROWID;
CREATE TABLE image_blobs (
    image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE, digest TEXT NOT NULL,
    PRIMARY KEY (image_id, digest)
) WITHOUT ROWID;
CREATE TABLE names (
    reference TEXT PRIMARY KEY, image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE containers (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE events (time_ns INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX events_by_time ON events (time_ns);
"""

# What each version added to the one before: a new file is the oldest one, and then goes this way.
_MIGRATIONS = {
    2: "CREATE TABLE volumes (name TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;",
    3: "CREATE TABLE networks (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;",
    4: """CREATE TABLE steps (
        image_id TEXT PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE,
        parent_id TEXT NOT NULL, key TEXT NOT NULL
    ) WITHOUT ROWID;""",
}


class ImageRow(NamedTuple):
    """An image as it is stored: `layers` are (diffID, unpacked bytes), lowest first."""

    id: Digest
    manifest: Digest
    source: str
    pulled_at: str
    layers: tuple[tuple[Digest, int], ...]
    blobs: frozenset[Digest]


class NameRow(NamedTuple):
    """A full reference (``docker.io/library/x:latest`` or ``…@sha256:…``) of an image."""

    reference: str
    image_id: Digest


class StepRow(NamedTuple):
    """The step of a build that made an image: of which one, '' for none, and what it did."""

    image_id: Digest
    parent_id: str
    key: str


class Database:
    """The open file. Every method outside `transaction` commits at once.

    Raises
    ------
    EngineFailure
        The file belongs to a newer dockerlab.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        # NORMAL: a power cut may lose the last transactions, never the consistency of the file;
        # what no transaction names is deleted at the next start.
        self._db.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
        )
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version=1;COMMIT;")
            version = 1
        if version > SCHEMA_VERSION:
            self._db.close()
            raise EngineFailure(
                f'"{path}" has schema {version}, this dockerlab reads {SCHEMA_VERSION}',
                "use the dockerlab that made it, or another --root",
            )
        for following in range(version + 1, SCHEMA_VERSION + 1):
            script = _MIGRATIONS[following]
            self._db.executescript(f"BEGIN;{script}PRAGMA user_version={following};COMMIT;")

    def close(self) -> None:
        """Close the file; the write-ahead log is folded in."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes of the block one transaction, undone when the block raises."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def meta(self, key: str, default: str) -> str:
        """Return the value of `key`; on its first use `default` is stored."""
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, default))
        (value,) = self._db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return str(value)

    # Images

    def save_image(self, row: ImageRow) -> None:
        """Insert the image, or add to it the blobs of one more manifest with the same config."""
        self._db.execute(
            "INSERT INTO images VALUES (?,?,?,?) ON CONFLICT(id) DO UPDATE SET "
            "manifest=excluded.manifest, source=excluded.source, pulled_at=excluded.pulled_at",
            (row.id, row.manifest, row.source, row.pulled_at),
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO image_layers VALUES (?,?,?,?)",
            [(row.id, index, *layer) for index, layer in enumerate(row.layers)],
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO image_blobs VALUES (?,?)", [(row.id, blob) for blob in row.blobs]
        )

    def delete_image(self, image_id: Digest) -> None:
        """Delete the image with its names."""
        self._db.execute("DELETE FROM images WHERE id=?", (image_id,))

    def images(self) -> list[ImageRow]:
        """Return all images."""
        rows = self._db.execute("SELECT id, manifest, source, pulled_at FROM images").fetchall()
        return [
            ImageRow(id_, manifest, source, at, self._layers(id_), self._blobs(id_))
            for id_, manifest, source, at in rows
        ]

    def _layers(self, image_id: Digest) -> tuple[tuple[Digest, int], ...]:
        return tuple(
            self._db.execute(
                "SELECT diff_id, size_bytes FROM image_layers WHERE image_id=? ORDER BY position",
                (image_id,),
            )
        )

    def _blobs(self, image_id: Digest) -> frozenset[Digest]:
        rows = self._db.execute("SELECT digest FROM image_blobs WHERE image_id=?", (image_id,))
        return frozenset(digest for (digest,) in rows)

    def save_name(self, name: NameRow) -> None:
        """Point a reference at an image, taking it from another one if need be."""
        self._db.execute("INSERT OR REPLACE INTO names VALUES (?,?)", name)

    def delete_name(self, reference: str) -> None:
        """Delete a reference."""
        self._db.execute("DELETE FROM names WHERE reference=?", (reference,))

    def names(self) -> list[NameRow]:
        """Return all references."""
        return [NameRow(*row) for row in self._db.execute("SELECT reference, image_id FROM names")]

    def save_step(self, step: StepRow) -> None:
        """Note how an image was made; it goes with the image."""
        self._db.execute("INSERT OR REPLACE INTO steps VALUES (?,?,?)", step)

    def steps(self) -> list[StepRow]:
        """Return how images were made."""
        return [StepRow(*row) for row in self._db.execute("SELECT * FROM steps")]

    # Containers

    def save_container(self, container: Container) -> None:
        """Insert or replace the record."""
        self._db.execute(
            "INSERT OR REPLACE INTO containers VALUES (?,?)",
            (container.id, msgspec.json.encode(container)),
        )

    def delete_container(self, container_id: ContainerId) -> None:
        """Delete the record."""
        self._db.execute("DELETE FROM containers WHERE id=?", (container_id,))

    def containers(self) -> list[Container]:
        """Return all records."""
        rows = self._db.execute("SELECT record FROM containers")
        return [msgspec.json.decode(record, type=Container) for (record,) in rows]

    # Volumes

    def save_volume(self, volume: Volume) -> None:
        """Insert or replace the record."""
        self._db.execute(
            "INSERT OR REPLACE INTO volumes VALUES (?,?)",
            (volume.name, msgspec.json.encode(volume)),
        )

    def delete_volume(self, name: str) -> None:
        """Delete the record."""
        self._db.execute("DELETE FROM volumes WHERE name=?", (name,))

    def volumes(self) -> list[Volume]:
        """Return all records."""
        rows = self._db.execute("SELECT record FROM volumes")
        return [msgspec.json.decode(record, type=Volume) for (record,) in rows]

    # Networks

    def save_network(self, network: Network) -> None:
        """Insert or replace the record."""
        self._db.execute(
            "INSERT OR REPLACE INTO networks VALUES (?,?)",
            (network.id, msgspec.json.encode(network)),
        )

    def delete_network(self, network_id: NetworkId) -> None:
        """Delete the record."""
        self._db.execute("DELETE FROM networks WHERE id=?", (network_id,))

    def networks(self) -> list[Network]:
        """Return all records."""
        rows = self._db.execute("SELECT record FROM networks")
        return [msgspec.json.decode(record, type=Network) for (record,) in rows]

    # Events

    def add_events(self, events: Iterable[Event]) -> None:
        """Append, in one transaction, and forget the oldest beyond the newest 10,000."""
        with self.transaction():
            self._db.executemany(
                "INSERT INTO events VALUES (?,?)",
                [(event.time_ns, msgspec.json.encode(event)) for event in events],
            )
            self._db.execute(
                "DELETE FROM events WHERE rowid <= (SELECT max(rowid) FROM events) - ?",
                (_MAX_EVENTS,),
            )

    def events(self, since_ns: int) -> list[Event]:
        """Return the events from `since_ns` (wall clock, nanoseconds) on, oldest first."""
        rows = self._db.execute(
            "SELECT record FROM events WHERE time_ns >= ? ORDER BY rowid", (since_ns,)
        )
        return [msgspec.json.decode(record, type=Event) for (record,) in rows]
