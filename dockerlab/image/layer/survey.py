"""What each layer of an image adds, changes and deletes, and which bytes a later one hides.

Read from the unpacked layers, lowest first; no file's content is looked at, and no link is
followed. A file is *changed* when a layer below has another of the same name, *deleted* when a mark
hides it. Bytes are *wasted* when every name of their file is changed or deleted by a later layer:
they are in the image, and no container sees them. Import-light.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from dockerlab.image.layer.fault import shown
from dockerlab.image.layer.whiteout import OPAQUE, TRUSTED, USER, hidden_name, is_whiteout

# `typing` is not imported here: see `worker`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # The visible tree: a folder is a dictionary, a file what it is one of the names of.
    Tree = dict[bytes, "Tree | _File"]

__all__ = ["survey"]

_MAX_WASTED_PATHS = 50


class _File:
    """A file of a layer, which may have several names."""

    __slots__ = ("layer", "names", "size")

    def __init__(self, layer: int, size: int) -> None:
        self.layer = layer
        self.size = size
        self.names = 0


class _Counts:
    """What is said of one layer; bytes are apparent sizes."""

    __slots__ = ("added", "bytes", "changed", "deleted", "wasted")

    def __init__(self) -> None:
        self.added = self.changed = self.deleted = self.bytes = self.wasted = 0


def survey(layers: Sequence[str], *, has_archive_marks: bool) -> dict[str, Any]:
    """Compare layers.

    Parameters
    ----------
    layers : sequence of str
        Their folders, lowest first.
    has_archive_marks : bool
        Whiteouts are files named ``.wh.…`` and not what overlayfs reads.

    Returns
    -------
    dict
        ``layers``: for each ``added``, ``changed``, ``deleted`` (files) and ``bytes``,
        ``wasted_bytes``; ``wasted``: the worst paths with the bytes hidden under their name.

    Raises
    ------
    OSError
        A layer is not there, or cannot be read.
    """
    image = _Image(has_archive_marks=has_archive_marks)
    for folder in layers:
        image.lay(folder)
    return image.report()


class _Image:
    """The tree so far, and what was counted on the way."""

    def __init__(self, *, has_archive_marks: bool) -> None:
        self._has_archive_marks = has_archive_marks
        self._tree: Tree = {}
        # Of the layer on top: its files of several names, by inode.
        self._files: dict[int, _File] = {}
        self._counts: list[_Counts] = []
        self._wasted: dict[bytes, int] = {}

    def lay(self, folder: str) -> None:
        """Put one more layer on top."""
        self._counts.append(_Counts())
        self._files = {}
        # From inside, so that no path is longer than an archive may say it.
        os.chdir(folder)
        waiting: list[tuple[bytes, Tree, Tree | None]] = [(b".", self._tree, None)]
        while waiting:
            waiting += self._enter(*waiting.pop())

    def _enter(
        self, path: bytes, tree: Tree, old: Tree | None
    ) -> list[tuple[bytes, Tree, Tree | None]]:
        """Put one folder of the layer over `tree`; return the folders in it.

        `old` is what a mark of this layer has hidden there: what the layer has again of it is
        changed, and the rest deleted.
        """
        entries, masked, is_opaque = self._read(path)
        if is_opaque and old is None:
            old = dict(tree)
            tree.clear()
        below = tree if old is None else old
        for name in masked - entries.keys():
            self._delete(path + b"/" + name, below.pop(name, None))
        folders = []
        for name, status in entries.items():
            here, known = path + b"/" + name, below.pop(name, None)
            if stat.S_ISDIR(status.st_mode):
                is_new = old is not None or name in masked
                if isinstance(known, dict):
                    child, rest = ({}, known) if is_new else (known, None)
                else:
                    self._delete(here, known)
                    child, rest = {}, None
                tree[name] = child
                folders.append((here, child, rest))
            else:
                tree[name] = self._add(here, known, status)
        if old is not None:
            for name, node in old.items():
                self._delete(path + b"/" + name, node)
        return folders

    def _read(self, path: bytes) -> tuple[dict[bytes, os.stat_result], set[bytes], bool]:
        """Return the entries of a folder without its marks, the names they hide, and if all is."""
        entries: dict[bytes, os.stat_result] = {}
        masked: set[bytes] = set()
        is_opaque = False
        with os.scandir(path) as listing:
            for entry in listing:
                status = entry.stat(follow_symlinks=False)
                hidden = hidden_name(entry.name) if self._has_archive_marks else None
                if hidden == OPAQUE:
                    is_opaque = True
                elif hidden is not None:
                    masked.add(hidden)
                elif is_whiteout(status):
                    masked.add(entry.name)
                else:
                    entries[entry.name] = status
        return entries, masked, is_opaque or (not self._has_archive_marks and _is_opaque(path))

    def _add(self, path: bytes, known: Tree | _File | None, status: os.stat_result) -> _File:
        counts, layer = self._counts[-1], len(self._counts) - 1
        if isinstance(known, _File):
            counts.changed += 1
            self._hide(path, known)
        else:
            self._delete(path, known)
            counts.added += 1
        file = self._files.get(status.st_ino)
        if file is None:
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            file = _File(layer, size)
            counts.bytes += size
            if status.st_nlink > 1:
                self._files[status.st_ino] = file
        file.names += 1
        return file

    def _delete(self, path: bytes, node: Tree | _File | None) -> None:
        """Count a file, or all that are in a folder, as deleted by the layer on top."""
        waiting = [(path, node)]
        while waiting:
            path, node = waiting.pop()
            if isinstance(node, dict):
                waiting += [(path + b"/" + name, child) for name, child in node.items()]
            elif node is not None:
                self._counts[-1].deleted += 1
                self._hide(path, node)

    def _hide(self, path: bytes, file: _File) -> None:
        file.names -= 1
        if not file.names:
            self._counts[file.layer].wasted += file.size
            self._wasted[path] = self._wasted.get(path, 0) + file.size

    def report(self) -> dict[str, Any]:
        """Return what `survey` does."""
        worst = sorted(self._wasted.items(), key=lambda item: (-item[1], item[0]))
        return {
            "layers": [
                {
                    "added": counts.added,
                    "changed": counts.changed,
                    "deleted": counts.deleted,
                    "bytes": counts.bytes,
                    "wasted_bytes": counts.wasted,
                }
                for counts in self._counts
            ],
            "wasted": [
                {"path": "/" + shown(path.removeprefix(b"./")), "bytes": size}
                for path, size in worst[:_MAX_WASTED_PATHS]
                if size
            ],
        }


def _is_opaque(path: bytes) -> bool:
    for prefix in (TRUSTED, USER):
        try:
            if os.getxattr(path, prefix + b"opaque", follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False
