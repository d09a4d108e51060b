"""Putting an archive below a folder of the root that this process has. Import-light.

`Below` moves the names of an archive there, `apply` unpacks it: for `docker cp` and for builds.
"""

from __future__ import annotations

from dockerlab.image.layer.apply import Applier, clean_path
from dockerlab.image.layer.owners import Owners, RecordingOwners
from dockerlab.image.layer.tar import HARD_LINK, TarReader
from dockerlab.image.layer.whiteout import TRUSTED, USER, Overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockerlab.image.layer.fault import Limits
    from dockerlab.image.layer.source import Source
    from dockerlab.image.layer.tar import Entry

__all__ = ["Below", "apply"]


class Below(TarReader):
    """An archive whose names are all below a folder.

    Parameters
    ----------
    target : bytes
        The folder, from the root and without links.
    owner : tuple of int or None
        Uid and gid of everything; otherwise the archive says it.
    """

    def __init__(
        self, source: Source, limits: Limits, target: bytes, owner: tuple[int, int] | None
    ) -> None:
        super().__init__(source, limits)
        self._target = target
        self._owner = owner

    def __iter__(self) -> Iterator[Entry]:
        for entry in super().__iter__():
            path = clean_path(entry.path)
            if not path:
                continue  # The folder itself, which is there.
            name = self.admit(entry, path)
            if not name:
                continue
            entry.path = self._below(name)
            if entry.kind == HARD_LINK:
                entry.link = self._below(clean_path(entry.link))
            if self._owner is not None:
                entry.uid, entry.gid = self._owner
            self.settle(entry)
            yield entry

    def admit(self, entry: Entry, path: bytes) -> bytes:
        """Return the name that an entry gets below the folder; empty leaves it out."""
        del entry
        return path

    def settle(self, entry: Entry) -> None:
        """Look at an entry, or change it, when it has its place."""

    def _below(self, path: bytes) -> bytes:
        return self._target + b"/" + path if self._target else path


def apply(
    root_fd: int, reader: TarReader, source: Source, limits: Limits, *, is_rootless: bool
) -> None:
    """Unpack an archive into an open root, to its very end; raise LayerFault."""
    overlay = Overlay(USER if is_rootless else TRUSTED)
    owners = RecordingOwners() if is_rootless else Owners()
    Applier(root_fd, limits, overlay, owners, has_whiteouts=False).apply(reader)
    source.drain()
