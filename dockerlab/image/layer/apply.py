"""Applying an archive to a folder: every entry becomes a file, in order; none leaves the folder.

Neither a reader of archives (`tar`) nor a resolver of names (`folders`): this is what an entry
means. Modes and times of folders wait until the end, because writing into a folder changes its
time, and a folder without permissions would keep out its own files. See
image-spec/layer.md#applying-changesets.
"""

import errno
import os
import stat
from collections.abc import Callable

from dockerlab.image.layer.fault import LayerFault, Limits, shown
from dockerlab.image.layer.folders import FOLDER_FLAGS, Folder, Folders
from dockerlab.image.layer.owners import Owners
from dockerlab.image.layer.pending import PendingFolders
from dockerlab.image.layer.removal import remove_at
from dockerlab.image.layer.tar import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    Entry,
    TarReader,
)
from dockerlab.image.layer.whiteout import OPAQUE, Overlay, hidden_name, is_whiteout

__all__ = ["Applier", "clean_path", "clean_time"]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_NODES = frozenset({CHARACTER_DEVICE, BLOCK_DEVICE})
_SMALL_BYTES = 64 << 10
_MAX_PATH_BYTES = 4095  # PATH_MAX of limits.h, without its zero byte
# 2**33 seconds is in the year 2242; ext4 ends in 2446, XFS with bigtime in 2486.
_TIME_RANGE_NS = range(-(1 << 31) * 10**9, (1 << 33) * 10**9)
# Attributes that a file system or a namespace may refuse without the file being wrong.
_OPTIONAL_XATTR_ERRORS = (errno.ENOTSUP, errno.EPERM)


class Applier:
    """Writes entries below `root_fd`, a folder that nobody else writes to.

    Without `has_whiteouts` their names mean nothing special.

    Attributes
    ----------
    entries : int
        Entries seen.
    size_bytes : int
        Sum of the files' apparent sizes, which is what Docker calls a layer's size.
    """

    def __init__(
        self,
        root_fd: int,
        limits: Limits,
        overlay: Overlay,
        owners: Owners | None = None,
        *,
        has_whiteouts: bool = True,
    ) -> None:
        self._has_whiteouts = has_whiteouts
        self._owners = owners or Owners()
        self._root_fd = root_fd
        self._limits = limits
        self._overlay = overlay
        self._folders = Folders(root_fd, overlay)
        self._pending = PendingFolders()
        self._left_out: set[bytes] = set()
        self._makers: dict[bytes, Callable[[Entry, int, bytes], None]] = {
            HARD_LINK: self._make_hard_link,
            SYMLINK: self._make_symlink,
            CHARACTER_DEVICE: self._make_node,
            BLOCK_DEVICE: self._make_node,
            FIFO: self._make_node,
        }
        self.entries = 0
        self.size_bytes = 0

    def apply(self, archive: TarReader) -> None:
        """Apply all entries.

        Raises
        ------
        LayerFault
            The archive is damaged, asks for something impossible, or passes a limit.
        OSError
            The kernel refuses; ENOSPC among the reasons. The folder is then half written.
        """
        try:
            for entry in archive:
                self.entries += 1
                self._apply_entry(entry, archive)
            for path, mode, time_ns in self._pending.children_first():
                fd, _ = self._folders.open(path)
                os.fchmod(fd, mode)
                os.utime(fd, ns=(time_ns, time_ns))
        finally:
            self._folders.close()

    def _apply_entry(self, entry: Entry, archive: TarReader) -> None:
        path = clean_path(entry.path)
        if not path:
            self._apply_root(entry)
            return
        parent, _, name = path.rpartition(b"/")
        try:
            folder = self._folders.open(parent)
            hidden = hidden_name(name) if self._has_whiteouts else None
            if hidden is not None:
                self._hide(folder, hidden)
            elif entry.kind == REGULAR:
                self._make_file(entry, archive, folder, name)
            elif entry.kind == DIRECTORY:
                self._make_folder(entry, folder, name)
            else:
                self._make_other(entry, folder, name)
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise LayerFault("io", f'cannot make "{shown(path)}": {exc.strerror}') from exc

    def _apply_root(self, entry: Entry) -> None:
        if entry.kind == DIRECTORY:
            self._set_folder(entry, self._root_fd, b"")
        elif entry.kind:
            raise LayerFault("tar", f'"{shown(entry.path)}" would replace the root folder')

    def _make_file(self, entry: Entry, archive: TarReader, folder: Folder, name: bytes) -> None:
        self.size_bytes += entry.apparent_size
        if self.size_bytes > self._limits.total_bytes:
            raise LayerFault("limit", f"the files are larger than {self._limits.total_bytes} bytes")
        mode = entry.mode & 0o777
        try:
            fd = os.open(name, _CREATE, mode, dir_fd=folder[0])
        except FileExistsError:
            self._clear(folder, name)
            fd = os.open(name, _CREATE, mode, dir_fd=folder[0])
        try:
            _write_data(fd, entry, archive)
            # In this order: chown(2) and write(2) clear the set-id bits and file capabilities.
            mode = self._owners.give(fd, entry)
            if mode & _SPECIAL_BITS:
                os.fchmod(fd, mode)
            for key, value in entry.xattrs:
                self._set_xattr(fd, key, value)
            time_ns = clean_time(entry.mtime_ns)
            os.utime(fd, ns=(time_ns, time_ns))
        finally:
            os.close(fd)

    def _make_folder(self, entry: Entry, parent: Folder, name: bytes) -> None:
        parent_fd, real = parent
        path = real + b"/" + name if real else name
        is_opaque = False
        try:
            os.mkdir(name, 0o700, dir_fd=parent_fd)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                # Deleted and made again in one layer: nothing of the folder below may shine
                # through.
                is_opaque = is_whiteout(status)
                self._clear(parent, name)
                os.mkdir(name, 0o700, dir_fd=parent_fd)
        fd = os.open(name, FOLDER_FLAGS, dir_fd=parent_fd)
        try:
            if is_opaque:
                self._overlay.make_opaque(fd)
            self._set_folder(entry, fd, path)
        finally:
            os.close(fd)

    def _set_folder(self, entry: Entry, fd: int, path: bytes) -> None:
        # Always: an earlier entry of the same folder may have named another owner.
        mode = self._owners.give(fd, entry, is_new=False)
        for key, value in entry.xattrs:
            self._set_xattr(fd, key, value)
        self._pending.add(path, mode, clean_time(entry.mtime_ns))

    def _make_other(self, entry: Entry, parent: Folder, name: bytes) -> None:
        if entry.kind == CHARACTER_DEVICE and entry.major == entry.minor == 0:
            # Overlayfs would take it for a whiteout, which a layer can only say by `.wh.`.
            return
        if self._is_left_out(entry):
            self._clear_if_there(parent, name)
            return
        make = self._makers[entry.kind]
        try:
            make(entry, parent[0], name)
        except FileExistsError:
            self._clear(parent, name)
            make(entry, self._folders.open(parent[1])[0], name)
        if entry.kind != HARD_LINK:
            # What a hard link says of its file was said before, and to follow it could change a
            # file behind a link (GHSA-c72p-9xmj-rx3w).
            self._set_attributes(entry, self._folders.open(parent[1])[0], name)

    def _is_left_out(self, entry: Entry) -> bool:
        """Tell whether it is a node that nobody may make here, or one more name of such a node."""
        is_left_out = (entry.kind in _NODES and self._owners.leaves_out_nodes) or (
            entry.kind == HARD_LINK and clean_path(entry.link) in self._left_out
        )
        if is_left_out:
            self._left_out.add(clean_path(entry.path))
        return is_left_out

    def _make_hard_link(self, entry: Entry, folder_fd: int, name: bytes) -> None:
        target = clean_path(entry.link)
        if not target:
            raise LayerFault("tar", f'"{shown(entry.path)}" is a hard link to the root folder')
        parent, _, base = target.rpartition(b"/")
        # Its own descriptors: a long path to the source may close the destination's, and
        # conversely.
        here_fd = os.dup(folder_fd)
        try:
            source_fd = self._folders.open(parent)[0]
            os.link(base, name, src_dir_fd=source_fd, dst_dir_fd=here_fd, follow_symlinks=False)
        finally:
            os.close(here_fd)

    def _make_symlink(self, entry: Entry, folder_fd: int, name: bytes) -> None:
        os.symlink(entry.link, name, dir_fd=folder_fd)

    def _make_node(self, entry: Entry, folder_fd: int, name: bytes) -> None:
        kinds = {CHARACTER_DEVICE: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
        device = os.makedev(entry.major, entry.minor)
        os.mknod(name, kinds[entry.kind] | entry.mode & 0o777, device, dir_fd=folder_fd)

    def _set_attributes(self, entry: Entry, folder_fd: int, name: bytes) -> None:
        """Set what belongs to a file that cannot be opened: a link, a device, a fifo."""
        mode = self._owners.give_name(name, folder_fd, entry)
        if mode & _SPECIAL_BITS and entry.kind != SYMLINK:
            os.chmod(name, mode, dir_fd=folder_fd)
        if entry.xattrs:
            # setxattr(2) takes no folder descriptor, and no descriptor of such a file either.
            os.fchdir(folder_fd)
            for key, value in entry.xattrs:
                self._set_xattr(name, key, value)
        time_ns = clean_time(entry.mtime_ns)
        os.utime(name, ns=(time_ns, time_ns), dir_fd=folder_fd, follow_symlinks=False)

    def _set_xattr(self, target: int | bytes, key: bytes, value: bytes) -> None:
        if self._overlay.steers(key):
            return
        try:
            os.setxattr(target, key, value, follow_symlinks=isinstance(target, int))
        except OSError as exc:
            if exc.errno not in _OPTIONAL_XATTR_ERRORS:
                raise

    def _hide(self, folder: Folder, hidden: bytes) -> None:
        """Apply a whiteout. It is about the layers below: what this layer has itself, stays."""
        fd, _ = folder
        if hidden == OPAQUE:
            self._overlay.make_opaque(fd)
        elif hidden:
            try:
                self._overlay.make_whiteout(fd, hidden)
            except FileExistsError:
                self._hide_below(fd, hidden)

    def _hide_below(self, folder_fd: int, name: bytes) -> None:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            return
        fd = os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
        try:
            self._overlay.make_opaque(fd)
        finally:
            os.close(fd)

    def _clear(self, folder: Folder, name: bytes) -> None:
        """Remove what an earlier entry of this archive made under the same name.

        The descriptor of `folder` stays good until the next folder is opened.
        """
        fd, real = folder
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        remove_at(fd, name)
        if stat.S_ISDIR(status.st_mode):
            self._pending.drop(real + b"/" + name if real else name)
        if stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
            self._folders.forget()

    def _clear_if_there(self, folder: Folder, name: bytes) -> None:
        try:
            self._clear(folder, name)
        except FileNotFoundError:
            return


def clean_path(path: bytes) -> bytes:
    """Return `path` without empty and `.` parts and with `..` resolved; empty is the root.

    Raises
    ------
    LayerFault
        It leads out of the root, or is longer than the kernel takes.

    Examples
    --------
    >>> clean_path(b"./usr//share/../lib/")
    b'usr/lib'
    """
    if len(path) > _MAX_PATH_BYTES:
        raise LayerFault(
            "limit", f'the path "{shown(path)}" is longer than {_MAX_PATH_BYTES} bytes'
        )
    path = path.removeprefix(b"./").removesuffix(b"/")
    if path and path[0] not in b"./" and b"//" not in path and b"/." not in path:
        return path
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            if not parts:
                raise LayerFault("tar", f'the path "{shown(path)}" leads out of the image')
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def clean_time(time_ns: int) -> int:
    """Return a time that file systems can hold: what they cannot becomes 1970, as in Docker."""
    return time_ns if time_ns in _TIME_RANGE_NS else 0


def _write_data(fd: int, entry: Entry, archive: TarReader) -> None:
    if entry.extents is None:
        if entry.size <= _SMALL_BYTES:
            # Nearly every file: one piece, one system call, no generator.
            if entry.size:
                _write_all(fd, archive.small_data())
            return
        for piece in archive.data(entry.size):
            _write_all(fd, piece)
        return
    for offset, length in entry.extents:
        os.lseek(fd, offset, os.SEEK_SET)
        for piece in archive.data(length):
            _write_all(fd, piece)
    os.ftruncate(fd, entry.apparent_size)


def _write_all(fd: int, piece: bytes) -> None:
    written = os.write(fd, piece)
    while written < len(piece):
        piece = piece[written:]
        written = os.write(fd, piece)
