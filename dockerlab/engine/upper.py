"""What a container has changed: its upper folder read against the layers below it.

A whiteout is a deletion, an opaque folder hides all that was there, and everything else is either
new or a change of what a layer has (Linux, Documentation/filesystems/overlayfs.rst). Nothing is
mounted: each name is looked up in the layers as overlayfs does it. Import-light: a child of the
zygote does this, for only that may look into every folder.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.image.layer.whiteout import TRUSTED, USER, is_whiteout
from dockerlab.kernel import constants, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.runtime.rootfs import Overlay

__all__ = ["ADDED", "DELETED", "MODIFIED", "list_changes"]

# Engine API, ChangeType.
MODIFIED, ADDED, DELETED = 0, 1, 2

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BENEATH = constants.RESOLVE_BENEATH | constants.RESOLVE_NO_SYMLINKS
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# Where the engine mounts something: made in the upper folder where the image has no such name.
_ENGINES_OWN = frozenset(
    {"/dev", "/proc", "/sys", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
)


def list_changes(overlay: Overlay) -> list[tuple[str, int]]:
    """Return path and kind of each change, sorted by path.

    Parameters
    ----------
    overlay : dict
        The folders of a container's root.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    fds = [os.open(folder, flags) for folder in (overlay["upper"], *overlay["lower"])]
    try:
        found = _Comparison(fds[0], fds[1:]).run()
    finally:
        for fd in fds:
            os.close(fd)
    return sorted(found.items())


class _Comparison:
    """The walk through the upper folder.

    A folder waits together with the layers that show through in it, topmost first.
    """

    def __init__(self, upper: int, layers: list[int]) -> None:
        self._upper = upper
        self._layers = layers
        self._found: dict[str, int] = {}
        self._waiting: list[tuple[str, list[int]]] = []

    def run(self) -> dict[str, int]:
        """Return the changes by path."""
        self._waiting.append(("", self._layers))
        while self._waiting:
            path, layers = self._waiting.pop()
            self._folder(path, layers)
        for path in list(self._found):
            # A folder with a change in it is one that changed.
            parent = os.path.dirname(path)
            while parent != "/" and parent not in self._found:
                self._found[parent] = MODIFIED
                parent = os.path.dirname(parent)
        return self._found

    def _folder(self, path: str, layers: list[int]) -> None:
        fd = syscalls.openat2(self._upper, path or ".", _FOLDER, _BENEATH)
        try:
            entries = {
                name: os.stat(name, dir_fd=fd, follow_symlinks=False) for name in os.listdir(fd)
            }
        finally:
            os.close(fd)
        for name, status in entries.items():
            self._entry(f"{path}/{name}" if path else name, status, layers)

    def _entry(self, path: str, status: os.stat_result, layers: list[int]) -> None:
        below = _find(layers, path)
        if is_whiteout(status):
            if below is not None:
                self._found[f"/{path}"] = DELETED
            return
        if not stat.S_ISDIR(status.st_mode):
            is_mount_point = f"/{path}" in _ENGINES_OWN and not status.st_size
            if not (below is None and is_mount_point):
                self._found[f"/{path}"] = ADDED if below is None else MODIFIED
            return
        showing = _showing(layers, path)
        if _is_opaque(self._upper, path):
            self._hidden(path, showing)
            showing = []
        if below is None and f"/{path}" in _ENGINES_OWN:
            return
        if below is None:
            self._found[f"/{path}"] = ADDED
        elif self._is_changed(path, status, below):
            self._found[f"/{path}"] = MODIFIED
        self._waiting.append((path, showing))

    def _is_changed(self, path: str, now: os.stat_result, before: os.stat_result) -> bool:
        if not stat.S_ISDIR(before.st_mode):
            return True
        if (now.st_mode, now.st_uid, now.st_gid) != (before.st_mode, before.st_uid, before.st_gid):
            return True
        if now.st_mtime_ns == before.st_mtime_ns:
            return False
        # The mount points that the engine makes in it are none of the container's changes.
        own = {os.path.basename(p) for p in _ENGINES_OWN if os.path.dirname(p) == f"/{path}"}
        return not any(_stat(self._upper, f"{path}/{name}") for name in own)

    def _hidden(self, path: str, layers: list[int]) -> None:
        """Note what a folder made anew does not show any more."""
        gone: set[str] = set()
        for layer in layers:
            fd = syscalls.openat2(layer, path, _FOLDER, _BENEATH)
            try:
                gone.update(os.listdir(fd))
            finally:
                os.close(fd)
        for name in gone:
            inner = f"{path}/{name}"
            if _find(layers, inner) is not None and _stat(self._upper, inner) is None:
                self._found[f"/{inner}"] = DELETED


def _stat(root: int, path: str) -> os.stat_result | None:
    try:
        fd = syscalls.openat2(root, path, os.O_PATH | os.O_NOFOLLOW, _BENEATH)
    except OSError as error:
        if error.errno in _MISSING:
            return None
        raise
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _find(layers: list[int], path: str) -> os.stat_result | None:
    """Return what the topmost layer that knows the name has; a whiteout is nothing."""
    for layer in layers:
        status = _stat(layer, path)
        if status is not None:
            return None if is_whiteout(status) else status
    return None


def _showing(layers: list[int], path: str) -> list[int]:
    """Return the layers that show through in a folder."""
    showing = []
    for layer in layers:
        status = _stat(layer, path)
        if status is None:
            continue
        if not stat.S_ISDIR(status.st_mode):
            break
        showing.append(layer)
        if _is_opaque(layer, path):
            break
    return showing


def _is_opaque(root: int, path: str) -> bool:
    fd = syscalls.openat2(root, path, _FOLDER, _BENEATH)
    try:
        for prefix in (TRUSTED, USER):
            try:
                if os.getxattr(fd, prefix + b"opaque") == b"y":
                    return True
            except OSError as error:
                if error.errno not in (errno.ENODATA, errno.ENOTSUP, errno.EPERM):
                    raise
    finally:
        os.close(fd)
    return False
