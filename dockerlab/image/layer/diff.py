"""From a container's upper folder to a layer: a tar archive of what it changed.

``write_layer(upper_fd, write, *, has_owner_notes=False, latest_ns=None) -> int`` writes the archive
through `write` and returns how many members it has. The same folder gives the same bytes: names are
sorted, times exact, owners numbers. Deletions and hidden folders get the archive's own marks
(image-spec/layer.md#whiteouts), read from overlayfs's in either spelling. Nothing is followed on
the way, so a container that still runs can only change what the archive says. Import-light: a child
of the zygote does this. `engine.commit` is the way to it for the daemon. The other direction is
`apply`.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.image.layer import tar
from dockerlab.image.layer.fault import LayerFault, shown
from dockerlab.image.layer.owners import OWNER_ATTRIBUTE
from dockerlab.image.layer.tarwriter import TarWriter, padding
from dockerlab.image.layer.whiteout import (
    OPAQUE_NAME,
    RECORDS,
    TRUSTED,
    USER,
    WHITEOUT_PREFIX,
    is_whiteout,
)
from dockerlab.kernel import constants, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["write_layer"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A fifo must not keep us, nor a terminal become ours.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BENEATH = constants.RESOLVE_BENEATH | constants.RESOLVE_NO_SYMLINKS
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_NO_ATTRIBUTES = (errno.ENODATA, errno.ENOTSUP, errno.EPERM)
_PIECE_BYTES = 1 << 20
_SET_ID_BITS = stat.S_ISUID | stat.S_ISGID
_CAPABILITY = b"security.capability"
_USERS = b"user."
# What stands for files that are elsewhere: an upper folder with these does not say all that it is.
_SUBSTITUTES = frozenset(
    prefix + name for prefix in (TRUSTED, USER) for name in (b"redirect", b"metacopy")
)
_OWNER_FIELDS = 3


def write_layer(
    upper_fd: int,
    write: Callable[[bytes], None],
    *,
    has_owner_notes: bool = False,
    latest_ns: int | None = None,
) -> int:
    """Write what an upper folder holds as a layer, and return the number of its members.

    Parameters
    ----------
    upper_fd : int
        The open folder.
    write : callable
        Takes the bytes of the archive, in order.
    has_owner_notes : bool
        Files may have a note beside them of whose they would be (`owners`), which is believed.
    latest_ns : int, optional
        Later times than this become this, in nanoseconds since the epoch (SOURCE_DATE_EPOCH).

    Raises
    ------
    LayerFault
        A name that would be a mark in an archive, or a folder whose files are not all in it.
    """
    return _Difference(write, has_owner_notes=has_owner_notes, latest_ns=latest_ns).run(upper_fd)


class _Difference:
    def __init__(
        self, write: Callable[[bytes], None], *, has_owner_notes: bool, latest_ns: int | None
    ) -> None:
        self._write = write
        self._tar = TarWriter(write, has_exact_times=True)
        self._has_owner_notes = has_owner_notes
        self._latest_ns = latest_ns
        self._names: dict[tuple[int, int], bytes] = {}
        self._count = 0

    def run(self, top_fd: int) -> int:
        """Write everything below, and the end."""
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            try:
                folder = syscalls.openat2(top_fd, os.fsdecode(path) or ".", _FOLDER, _BENEATH)
            except OSError as error:
                if error.errno in _GONE and path:
                    continue  # It was removed or replaced meanwhile.
                raise
            try:
                names = sorted(os.fsencode(name) for name in os.listdir(folder))
                inner = [n for n in names if self._entry(folder, n, path + b"/" + n if path else n)]
            finally:
                os.close(folder)
            waiting += [path + b"/" + n if path else n for n in reversed(inner)]
        self._tar.finish()
        return self._count

    def _entry(self, folder_fd: int, name: bytes, path: bytes) -> bool:
        """Write one name; tell whether it is a folder to go into."""
        try:
            status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if is_whiteout(status):
            self._mark(path[: len(path) - len(name)] + WHITEOUT_PREFIX + name)
            return False
        if name.startswith(WHITEOUT_PREFIX):
            raise LayerFault(
                "tar",
                f'"/{shown(path)}" cannot be part of a layer:'
                " archives mark deletions by such names",
            )
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            return self._folder(folder_fd, name, path)
        if stat.S_ISREG(mode):
            self._regular(folder_fd, name, path)
        elif stat.S_ISLNK(mode):
            link = os.readlink(name, dir_fd=folder_fd)
            self._special(status, path, tar.SYMLINK, link=link)
        elif stat.S_ISFIFO(mode):
            self._special(status, path, tar.FIFO)
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            kind = tar.CHARACTER_DEVICE if stat.S_ISCHR(mode) else tar.BLOCK_DEVICE
            self._special(status, path, kind)
        return False  # A socket has no place in an archive.

    def _folder(self, folder_fd: int, name: bytes, path: bytes) -> bool:
        fd = self._open(folder_fd, name, _FOLDER)
        if fd < 0:
            return False
        try:
            attributes = _attributes(fd, path)
            self._member(os.fstat(fd), path, tar.DIRECTORY, attributes)
        finally:
            os.close(fd)
        if any(attributes.get(prefix + b"opaque") == b"y" for prefix in (TRUSTED, USER)):
            self._mark(path + b"/" + OPAQUE_NAME)
        return True

    def _regular(self, folder_fd: int, name: bytes, path: bytes) -> None:
        fd = self._open(folder_fd, name, _READ)
        if fd < 0:
            return
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return  # Replaced between the look and the open.
            attributes = _attributes(fd, path)
            key = (status.st_dev, status.st_ino)
            if status.st_nlink > 1 and (first := self._names.get(key)) is not None:
                self._member(status, path, tar.HARD_LINK, {}, link=first)
                return
            self._names[key] = path
            self._member(status, path, tar.REGULAR, attributes, size=status.st_size)
            self._data(fd, status.st_size)
        finally:
            os.close(fd)

    def _open(self, folder_fd: int, name: bytes, flags: int) -> int:
        try:
            return os.open(name, flags, dir_fd=folder_fd)
        except OSError as error:
            if error.errno in _GONE:
                return -1
            raise

    def _data(self, fd: int, size: int) -> None:
        left = size
        while left and (piece := os.read(fd, min(left, _PIECE_BYTES))):
            self._write(piece)
            left -= len(piece)
        while left:  # It became shorter than its header says.
            piece = bytes(min(left, _PIECE_BYTES))
            self._write(piece)
            left -= len(piece)
        self._write(padding(size))

    def _special(
        self, status: os.stat_result, path: bytes, kind: bytes, *, link: bytes = b""
    ) -> None:
        self._member(status, path, kind, {}, link=link)

    def _mark(self, path: bytes) -> None:
        self._count += 1
        self._tar.member(path, tar.REGULAR)

    def _member(
        self,
        status: os.stat_result,
        path: bytes,
        kind: bytes,
        attributes: dict[bytes, bytes],
        *,
        size: int = 0,
        link: bytes = b"",
    ) -> None:
        self._count += 1
        uid, gid, mode = self._owner(status, attributes)
        has_device = kind in (tar.CHARACTER_DEVICE, tar.BLOCK_DEVICE)
        time_ns = status.st_mtime_ns
        self._tar.member(
            path,
            kind,
            mode=mode,
            uid=uid,
            gid=gid,
            size=size,
            mtime_ns=time_ns if self._latest_ns is None else min(time_ns, self._latest_ns),
            link=link,
            device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if has_device else (0, 0),
            xattrs=[item for item in sorted(attributes.items()) if _is_kept(item[0])],
        )

    def _owner(
        self, status: os.stat_result, attributes: dict[bytes, bytes]
    ) -> tuple[int, int, int]:
        mode = stat.S_IMODE(status.st_mode)
        note = attributes.get(OWNER_ATTRIBUTE, b"").split(b":")
        if not self._has_owner_notes or len(note) != _OWNER_FIELDS:
            return status.st_uid, status.st_gid, mode
        try:
            uid, gid, noted = int(note[0]), int(note[1]), int(note[2], 8)
        except ValueError:
            return status.st_uid, status.st_gid, mode
        # The bits that were left out are given back, unless somebody has set others since.
        return uid, gid, noted if mode == noted & ~_SET_ID_BITS else mode


def _attributes(fd: int, path: bytes) -> dict[bytes, bytes]:
    """Return the extended attributes of an open file."""
    found = {}
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return {}
        raise
    for name in map(os.fsencode, names):
        try:
            found[name] = os.getxattr(fd, name)
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise
    if not _SUBSTITUTES.isdisjoint(found):
        raise LayerFault(
            "io",
            f'"/{shown(path)}" stands for files that are elsewhere: this kernel\'s overlayfs'
            " redirects folders, turn that off (redirect_dir=off, metacopy=off)",
        )
    return found


def _is_kept(name: bytes) -> bool:
    if name.startswith((USER, RECORDS)):
        return False
    return name == _CAPABILITY or name.startswith(_USERS)
