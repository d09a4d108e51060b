"""The keeper of unpacked layers: one folder a diffID, each unpacked without its parents.

A folder is filled under another name and becomes visible by a rename, so a layer is there whole
or not at all. Not here: what is written into it (`layer/`), and which image needs it (the
engine's database).
"""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dockerlab.errors import NotFound
from dockerlab.image.layer.measuring import apparent_size
from dockerlab.image.layer.removal import remove_tree
from dockerlab.oci.digest import Digest, hex_of, parse_digest

__all__ = ["FolderLayers", "LayerStore"]

_FINISHED = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SIZES = "sizes"


class LayerStore(Protocol):
    """What the engine and the pull need of a keeper of layers."""

    def has(self, diff_id: Digest) -> bool:
        """Tell whether the layer is there, whole."""
        ...

    def stage(self, diff_id: Digest) -> Path:
        """Return a new, empty folder for the layer; `commit` or `abandon` follows."""
        ...

    def commit(self, diff_id: Digest, staging: Path, size_bytes: int | None = None) -> None:
        """Make the staged folder the layer. Atomic; idempotent when the layer is there already."""
        ...

    def abandon(self, staging: Path) -> None:
        """Remove a staged folder; no error when it is gone."""
        ...

    def path(self, diff_id: Digest) -> Path:
        """Return the folder for overlayfs."""
        ...

    def size(self, diff_id: Digest) -> int:
        """Return the sum of its files' apparent sizes in bytes. Raise NotFound."""
        ...

    def delete(self, diff_id: Digest) -> None:
        """Remove the layer; no error when it is not there."""
        ...

    def diff_ids(self) -> Iterator[Digest]:
        """Yield every layer that is there, in no order."""
        ...

    def clean(self) -> None:
        """Remove what a crash left; only while nobody stages."""
        ...


def _measure_tree(path: str) -> int:
    return apparent_size(os.fsencode(path))


class FolderLayers:
    """Layers as folders of `root`, named by the 64 hex digits of their diffIDs.

    Parameters
    ----------
    root : Path
        Its folder.
    remove : callable
        Removes a tree by its path; without root the zygote must do it, which owns the files' ids.
    measure : callable
        Returns the apparent size of a tree, for which the same holds.
    """

    def __init__(
        self,
        root: Path,
        remove: Callable[[str], None] = remove_tree,
        measure: Callable[[str], int] = _measure_tree,
    ) -> None:
        self._root = root
        self._remove = remove
        self._measure = measure
        (root / _SIZES).mkdir(parents=True, exist_ok=True, mode=0o700)

    def has(self, diff_id: Digest) -> bool:
        """Tell whether the layer is there, whole."""
        return self.path(diff_id).is_dir()

    def stage(self, diff_id: Digest) -> Path:
        """Return a new, empty folder for the layer; `commit` or `abandon` follows."""
        staging = self._root / f"{hex_of(diff_id)}.{uuid.uuid4().hex[:12]}"
        staging.mkdir()
        # What the archive does not say about its root: overlayfs shows it as the container's `/`.
        staging.chmod(0o755)
        return staging

    def commit(self, diff_id: Digest, staging: Path, size_bytes: int | None = None) -> None:
        """Make the staged folder the layer.

        Parameters
        ----------
        diff_id : Digest
            Which layer it is.
        staging : Path
            From `stage`.
        size_bytes : int, optional
            What `size` will say; it is counted when it is not given.

        Notes ----- Atomic. When the layer is there already, the staged folder is removed: same
        digest, same files.
        """
        if size_bytes is not None:
            self._note_size(diff_id, size_bytes)
        if not self.has(diff_id):
            try:
                staging.rename(self.path(diff_id))
            except OSError:
                # Another pull of the same layer was faster.
                if not self.has(diff_id):
                    raise
            else:
                return
        self.abandon(staging)

    def abandon(self, staging: Path) -> None:
        """Remove a staged folder; no error when it is gone."""
        self._remove(str(staging))

    def path(self, diff_id: Digest) -> Path:
        """Return the folder for overlayfs."""
        return self._root / hex_of(diff_id)

    def size(self, diff_id: Digest) -> int:
        """Return the sum of its files' apparent sizes in bytes.

        Raises
        ------
        NotFound
            There is no such layer.
        """
        with suppress(FileNotFoundError, ValueError):
            return int((self._root / _SIZES / hex_of(diff_id)).read_text())
        if not self.has(diff_id):
            raise NotFound(f"no such layer: {diff_id}")
        size = self._measure(str(self.path(diff_id)))
        self._note_size(diff_id, size)
        return size

    def delete(self, diff_id: Digest) -> None:
        """Remove the layer; no error when it is not there.

        Notes
        -----
        It is gone at once under its name; `clean` finishes after a crash.
        """
        doomed = self._root / f"{hex_of(diff_id)}.{uuid.uuid4().hex[:12]}"
        with suppress(FileNotFoundError):
            self.path(diff_id).rename(doomed)
            self._remove(str(doomed))
        (self._root / _SIZES / hex_of(diff_id)).unlink(missing_ok=True)

    def diff_ids(self) -> Iterator[Digest]:
        """Yield every layer that is there, in no order."""
        for path in self._root.iterdir():
            if _FINISHED.fullmatch(path.name):
                yield parse_digest(f"sha256:{path.name}")

    def clean(self) -> None:
        """Remove what a crash left; only while nobody stages."""
        for path in self._root.iterdir():
            if path.name != _SIZES and not _FINISHED.fullmatch(path.name):
                self._remove(str(path))
        for note in (self._root / _SIZES).iterdir():
            if not (self._root / note.name).exists():
                note.unlink(missing_ok=True)

    def _note_size(self, diff_id: Digest, size_bytes: int) -> None:
        note = self._root / _SIZES / hex_of(diff_id)
        scratch = note.with_suffix(f".{uuid.uuid4().hex[:12]}")
        scratch.write_text(str(size_bytes))
        scratch.replace(note)
