"""What the hub knows of its blobs, in one SQLite file: repositories, tags, manifests, use.

The bytes are in the content store. One thread uses this.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from dockerlab.errors import EngineFailure
from dockerlab.oci.digest import Digest

__all__ = ["ManifestRow", "Records"]

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE manifests (
    repository TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
    subject TEXT NOT NULL, is_mirrored INTEGER NOT NULL, PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX manifests_by_subject ON manifests (repository, subject);
CREATE TABLE tags (
    repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL, seen_s REAL NOT NULL,
    is_mirrored INTEGER NOT NULL, PRIMARY KEY (repository, tag)
) WITHOUT ROWID;
CREATE TABLE links (
    repository TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    is_mirrored INTEGER NOT NULL, PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX links_by_digest ON links (digest);
CREATE TABLE uses (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, used_s REAL NOT NULL)
WITHOUT ROWID;
"""


class ManifestRow(NamedTuple):
    """A manifest of a repository."""

    digest: Digest
    media_type: str
    size: int


class Records:
    """The open file; every method commits at once.

    Parameters
    ----------
    path : Path
        The file.
    clock : callable
        Seconds since the epoch.

    Raises
    ------
    EngineFailure
        It was made by a newer version.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={_SCHEMA_VERSION};COMMIT;")
        elif version != _SCHEMA_VERSION:
            self._db.close()
            raise EngineFailure(
                f'"{path}" has schema {version}, this hub reads {_SCHEMA_VERSION}',
                "use the dockerlab that made it, or another --root",
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # Repositories and tags

    def names(self) -> list[str]:
        """Return the repositories that have a manifest, by name."""
        rows = self._db.execute("SELECT DISTINCT repository FROM manifests ORDER BY repository")
        return [name for (name,) in rows]

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository, by name."""
        rows = self._db.execute(
            "SELECT tag FROM tags WHERE repository=? ORDER BY tag", (repository,)
        )
        return [tag for (tag,) in rows]

    def tag(self, repository: str, tag: str) -> tuple[Digest, float, bool] | None:
        """Return what a tag points to, its age in seconds, and whether it is a mirror's."""
        row = self._db.execute(
            "SELECT digest, seen_s, is_mirrored FROM tags WHERE repository=? AND tag=?",
            (repository, tag),
        ).fetchone()
        return None if row is None else (row[0], self._clock() - row[1], bool(row[2]))

    def set_tag(self, repository: str, tag: str, digest: Digest, *, is_mirrored: bool) -> None:
        """Point a tag at a manifest, now."""
        self._db.execute(
            "INSERT OR REPLACE INTO tags VALUES (?,?,?,?,?)",
            (repository, tag, digest, self._clock(), is_mirrored),
        )

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag; tell whether there was one."""
        done = self._db.execute("DELETE FROM tags WHERE repository=? AND tag=?", (repository, tag))
        return done.rowcount > 0

    # Manifests

    def manifest(self, repository: str, digest: Digest) -> ManifestRow | None:
        """Return a manifest of a repository."""
        row = self._db.execute(
            "SELECT digest, media_type, size FROM manifests WHERE repository=? AND digest=?",
            (repository, digest),
        ).fetchone()
        return None if row is None else ManifestRow(*row)

    def add_manifest(
        self, repository: str, row: ManifestRow, subject: Digest | None, *, is_mirrored: bool
    ) -> None:
        """Insert or replace; a pushed one stays pushed."""
        self._db.execute(
            "INSERT INTO manifests VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
            "media_type=excluded.media_type, is_mirrored=min(is_mirrored, excluded.is_mirrored)",
            (repository, *row, subject or "", is_mirrored),
        )

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """Delete a manifest with its tags; tell whether there was one."""
        key = (repository, digest)
        self._db.execute("DELETE FROM tags WHERE repository=? AND digest=?", key)
        done = self._db.execute("DELETE FROM manifests WHERE repository=? AND digest=?", key)
        return done.rowcount > 0

    def manifests(self, repository: str) -> list[ManifestRow]:
        """Return all manifests of a repository."""
        rows = self._db.execute(
            "SELECT digest, media_type, size FROM manifests WHERE repository=?", (repository,)
        )
        return [ManifestRow(*row) for row in rows]

    def referrers(self, repository: str, subject: Digest) -> list[ManifestRow]:
        """Return the manifests that are about another one, which need not be there."""
        rows = self._db.execute(
            "SELECT digest, media_type, size FROM manifests WHERE repository=? AND subject=? "
            "ORDER BY digest",
            (repository, subject),
        )
        return [ManifestRow(*row) for row in rows]

    # Blobs

    def link(self, repository: str, digest: Digest) -> int | None:
        """Return the size of a repository's blob, None when it is not the repository's."""
        row = self._db.execute(
            "SELECT size FROM links WHERE repository=? AND digest=?", (repository, digest)
        ).fetchone()
        return None if row is None else int(row[0])

    def add_links(
        self, repository: str, blobs: Iterable[tuple[Digest, int]], *, is_mirrored: bool
    ) -> None:
        """Make blobs a repository's; pushed ones stay pushed."""
        self._db.executemany(
            "INSERT INTO links VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET "
            "is_mirrored=min(is_mirrored, excluded.is_mirrored)",
            [(repository, digest, size, is_mirrored) for digest, size in blobs],
        )

    def delete_link(self, repository: str, digest: Digest) -> bool:
        """Take a blob from a repository; tell whether it had it."""
        done = self._db.execute(
            "DELETE FROM links WHERE repository=? AND digest=?", (repository, digest)
        )
        return done.rowcount > 0

    def repositories_with_links(self) -> list[str]:
        """Return the repositories that have a blob."""
        return [name for (name,) in self._db.execute("SELECT DISTINCT repository FROM links")]

    def links(self, repository: str) -> list[Digest]:
        """Return the blobs of a repository."""
        rows = self._db.execute("SELECT digest FROM links WHERE repository=?", (repository,))
        return [digest for (digest,) in rows]

    def is_needed(self, digest: Digest) -> bool:
        """Tell whether any repository has a blob or a manifest of this digest."""
        for table in ("links", "manifests"):
            found = self._db.execute(f"SELECT 1 FROM {table} WHERE digest=? LIMIT 1", (digest,))  # noqa: S608
            if found.fetchone() is not None:
                return True
        return False

    # The cache of a mirror

    def note_use(self, digest: Digest, size: int) -> None:
        """Note that a blob was just asked for."""
        self._db.execute(
            "INSERT OR REPLACE INTO uses VALUES (?,?,?)", (digest, size, self._clock())
        )

    def touch_use(self, digest: Digest) -> None:
        """Note that a blob was asked for again, if it is a cached one."""
        self._db.execute("UPDATE uses SET used_s=? WHERE digest=?", (self._clock(), digest))

    def forget_use(self, digest: Digest) -> None:
        """Note that a blob is not cached any more."""
        self._db.execute("DELETE FROM uses WHERE digest=?", (digest,))

    def surplus(self, limit_bytes: int) -> list[Digest]:
        """Return the mirrored blobs to give up, those first that nobody used for longest."""
        (total,) = self._db.execute("SELECT coalesce(sum(size), 0) FROM uses").fetchone()
        rows = self._db.execute(
            "SELECT digest, size FROM uses WHERE NOT EXISTS (SELECT 1 FROM links WHERE "
            "links.digest=uses.digest AND NOT links.is_mirrored) ORDER BY used_s"
        ).fetchall()
        chosen = []
        for digest, size in rows:
            if total <= limit_bytes:
                break
            chosen.append(Digest(digest))
            total -= size
        return chosen
