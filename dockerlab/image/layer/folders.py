"""Folders inside a layer by their path, as descriptors: how a name becomes a place, safely.

Every step is taken relative to a descriptor and without following links; a link on the way is
read and followed here, with the layer's own root as `/`. So a name never leads out of the layer,
with or without a chroot around the process. The kernel's openat2(2) with RESOLVE_IN_ROOT does the
same, but Python 3.11 has no function for it, and one descriptor kept a folder saves the walk for
nearly every file.
"""

import errno
import os

from dockerlab.image.layer.fault import LayerFault, shown
from dockerlab.image.layer.whiteout import Overlay, is_whiteout

__all__ = ["FOLDER_FLAGS", "Folder", "Folders"]

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_MAX_OPEN = 128
_MAX_LINKS = 40  # path_resolution(7)
_IMPLIED_MODE = 0o755

# A descriptor, and the path from the layer's root to it with no link in it.
Folder = tuple[int, bytes]


class Folders:
    """Opens folders below `root_fd` and keeps the last ones open.

    A descriptor that `open` returned is good until the next call of `open`. The caller keeps
    `root_fd`.
    """

    def __init__(self, root_fd: int, overlay: Overlay) -> None:
        self._root: Folder = (root_fd, b"")
        self._overlay = overlay
        self._open: dict[bytes, Folder] = {}
        self._stale: list[int] = []

    def open(self, path: bytes) -> Folder:
        """Return the folder `path`, made with its parents where it is missing.

        Parameters
        ----------
        path : bytes
            Names joined by single slashes, none of them `.` or `..`; empty is the root.

        Raises
        ------
        LayerFault
            A part of it is not a folder.
        """
        if self._stale:
            self._close_stale()
        if not path:
            return self._root
        found = self._open.pop(path, None)
        if found is not None:
            # Back at the end: the first of the dictionary is the one used longest ago.
            self._open[path] = found
            return found
        missing: list[bytes] = []
        here = path
        while here and here not in self._open:
            here, _, name = here.rpartition(b"/")
            missing.append(name)
        folder = self._open[here] if here else self._root
        for name in reversed(missing):
            folder = self._enter(folder, name)
            here = here + b"/" + name if here else name
            self._keep(here, folder)
        return folder

    def forget(self) -> None:
        """Forget all: after a folder or a link was removed, a kept path may mean something else.

        The descriptors are closed by the next `open`, or by `close`.
        """
        self._stale += [fd for fd, _ in self._open.values()]
        self._open.clear()

    def close(self) -> None:
        """Close everything but the root."""
        self.forget()
        self._close_stale()

    def _close_stale(self) -> None:
        for fd in self._stale:
            os.close(fd)
        self._stale.clear()

    def _keep(self, path: bytes, folder: Folder) -> None:
        if (old := self._open.pop(path, None)) is not None:
            os.close(old[0])
        self._open[path] = folder
        if len(self._open) > _MAX_OPEN:
            eldest = next(iter(self._open))
            os.close(self._open.pop(eldest)[0])

    def _enter(self, parent: Folder, name: bytes) -> Folder:
        """Open `name` in `parent`; make it when it is missing, follow it when it is a link."""
        fd, real = parent
        path = real + b"/" + name if real else name
        try:
            return os.open(name, FOLDER_FLAGS, dir_fd=fd), path
        except FileNotFoundError:
            os.mkdir(name, _IMPLIED_MODE, dir_fd=fd)
            return os.open(name, FOLDER_FLAGS, dir_fd=fd), path
        except OSError as exc:
            # A link gives ELOOP or, together with O_DIRECTORY, ENOTDIR.
            if exc.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if is_whiteout(status):
            return self._replace_whiteout(parent, name), path
        if (link := _link_at(fd, name)) is None:
            raise LayerFault("tar", f'"{shown(path)}" is not a folder')
        target = self._resolve(real, link)
        fd, real = self.open(target)
        # One descriptor per kept path: two paths to the same folder must not close each other's.
        return os.dup(fd), real

    def _replace_whiteout(self, parent: Folder, name: bytes) -> int:
        """Make a folder where this layer first deleted the name: all below stays hidden."""
        os.unlink(name, dir_fd=parent[0])
        os.mkdir(name, _IMPLIED_MODE, dir_fd=parent[0])
        fd = os.open(name, FOLDER_FLAGS, dir_fd=parent[0])
        self._overlay.make_opaque(fd)
        return fd

    def _resolve(self, start: bytes, link: bytes) -> bytes:
        """Return the path without links that `link`, standing in the folder `start`, leads to."""
        here = b"" if link.startswith(b"/") else start
        waiting = link.split(b"/")[::-1]
        links = 1
        while waiting:
            name = waiting.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                here = here.rpartition(b"/")[0]
                continue
            following = _link_at(self.open(here)[0], name)
            if following is None:
                here = here + b"/" + name if here else name
                continue
            links += 1
            if links > _MAX_LINKS:
                raise LayerFault("tar", f'too many links at "{shown(start)}/{shown(link)}"')
            if following.startswith(b"/"):
                here = b""
            waiting += following.split(b"/")[::-1]
        return here


def _link_at(folder_fd: int, name: bytes) -> bytes | None:
    """Return the target of the link `name`, or None when it is none or not there."""
    try:
        return os.readlink(name, dir_fd=folder_fd)
    except OSError as exc:
        if exc.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise
