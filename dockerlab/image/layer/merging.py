"""Merging layers into one folder, for hosts without overlayfs: a copy that somebody may write to.

The layers have the archive's own marks (`whiteout.ArchiveMarks`). Copies share their blocks where
the file system can (FICLONE), attributes stay behind. Every folder is opened anew from the top and
without following a link, so no depth and no link of a layer matters; import-light.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Sequence

from dockerlab.image.layer.removal import remove_at
from dockerlab.image.layer.whiteout import OPAQUE, hidden_name
from dockerlab.kernel import constants, syscalls

__all__ = ["merge_layers"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_INSIDE = constants.RESOLVE_BENEATH | constants.RESOLVE_NO_SYMLINKS
_FICLONE = 0x40049409  # linux/fs.h
_COPY_BYTES = 1 << 30


def merge_layers(layers: Sequence[str], target: str) -> None:
    """Copy layers into an empty folder, the lowest first.

    Parameters
    ----------
    layers : sequence of str
        Folders of unpacked layers with the archive's marks.
    target : str
        The folder; it gets the mode of the uppermost layer's root.

    Raises
    ------
    OSError
        The kernel refuses; ENOSPC among the reasons. The folder is then half written.
    """
    target_fd = os.open(target, _FOLDER)
    try:
        times: dict[bytes, tuple[int, int]] = {}
        for layer in layers:
            layer_fd = os.open(layer, _FOLDER)
            try:
                _Merge(layer_fd, target_fd, times).run()
            finally:
                os.close(layer_fd)
        _settle(target_fd, times)
    finally:
        os.close(target_fd)


class _Merge:
    """One layer over what is there already."""

    def __init__(
        self, layer_fd: int, target_fd: int, times: "dict[bytes, tuple[int, int]]"
    ) -> None:
        self._layer_fd = layer_fd
        self._target_fd = target_fd
        self._times = times
        self._waiting = [b""]
        # Of files with several names: inode -> the first one, from the top.
        self._first_names: dict[int, bytes] = {}

    def run(self) -> None:
        """Go through all its folders, parents first."""
        while self._waiting:
            path = self._waiting.pop()
            source_fd = _open_folder(self._layer_fd, path)
            place_fd = _open_folder(self._target_fd, path)
            try:
                self._merge_folder(path, source_fd, place_fd)
            finally:
                os.close(source_fd)
                os.close(place_fd)

    def _merge_folder(self, path: bytes, source_fd: int, place_fd: int) -> None:
        names = [os.fsencode(name) for name in os.listdir(source_fd)]
        hidden = {name: hidden_name(name) for name in names}
        # What a layer hides is below it, never its own, so this comes first.
        for what in hidden.values():
            if what is not None:
                _hide(place_fd, what)
        for name, what in hidden.items():
            if what is None:
                self._put(path + b"/" + name if path else name, name, source_fd, place_fd)
        status = os.fstat(source_fd)
        self._times[path] = (stat.S_IMODE(status.st_mode), status.st_mtime_ns)

    def _put(self, path: bytes, name: bytes, source_fd: int, place_fd: int) -> None:
        status = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._put_folder(path, name, place_fd)
            return
        _remove(place_fd, name)
        if stat.S_ISREG(status.st_mode):
            if not self._link(path, name, place_fd, status):
                _copy_file(name, source_fd, place_fd, status)
            return
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source_fd), name, dir_fd=place_fd)
        elif stat.S_ISFIFO(status.st_mode):
            os.mknod(name, status.st_mode, dir_fd=place_fd)
        else:
            return
        times = (status.st_mtime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=place_fd, follow_symlinks=False)

    def _put_folder(self, path: bytes, name: bytes, place_fd: int) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=place_fd)
        except FileExistsError:
            there = os.stat(name, dir_fd=place_fd, follow_symlinks=False)
            if not stat.S_ISDIR(there.st_mode):
                os.unlink(name, dir_fd=place_fd)
                os.mkdir(name, 0o700, dir_fd=place_fd)
        self._waiting.append(path)

    def _link(self, path: bytes, name: bytes, place_fd: int, status: os.stat_result) -> bool:
        """Give a file that was copied already one more name; return whether it was."""
        if status.st_nlink == 1:
            return False
        first = self._first_names.setdefault(status.st_ino, path)
        if first is path:
            return False
        folder, _, base = first.rpartition(b"/")
        folder_fd = _open_folder(self._target_fd, folder)
        try:
            os.link(base, name, src_dir_fd=folder_fd, dst_dir_fd=place_fd, follow_symlinks=False)
        finally:
            os.close(folder_fd)
        return True


def _open_folder(top_fd: int, path: bytes) -> int:
    return syscalls.openat2(top_fd, os.fsdecode(path) or ".", _FOLDER, _INSIDE)


def _hide(folder_fd: int, what: bytes) -> None:
    if what == OPAQUE:
        for name in os.listdir(folder_fd):
            remove_at(folder_fd, os.fsencode(name))
    elif what:
        _remove(folder_fd, what)


def _remove(folder_fd: int, name: bytes) -> None:
    try:
        remove_at(folder_fd, name)
    except FileNotFoundError:
        return


def _copy_file(name: bytes, source_fd: int, place_fd: int, status: os.stat_result) -> None:
    reading = os.open(name, _READ, dir_fd=source_fd)
    try:
        writing = os.open(name, _CREATE, 0o600, dir_fd=place_fd)
        try:
            try:
                fcntl.ioctl(writing, _FICLONE, reading)
            except OSError:
                # Another file system, or one that shares no blocks.
                _copy_data(reading, writing, status.st_size)
            os.fchmod(writing, stat.S_IMODE(status.st_mode))
            os.utime(writing, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_data(reading: int, writing: int, size: int) -> None:
    """Copy what is there and leave the holes."""
    os.ftruncate(writing, size)
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(reading, offset, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(reading, offset, os.SEEK_HOLE)
        os.lseek(writing, offset, os.SEEK_SET)
        while offset < end:
            sent = os.sendfile(writing, reading, offset, min(end - offset, _COPY_BYTES))
            if not sent:
                return
            offset += sent


def _settle(target_fd: int, times: "dict[bytes, tuple[int, int]]") -> None:
    """Give folders their modes and times, now that nothing is written into them; children first."""
    for path in sorted(times, key=lambda path: path.count(b"/"), reverse=True):
        mode, time_ns = times[path]
        try:
            fd = _open_folder(target_fd, path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # A layer further up has deleted or replaced it.
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                continue
            raise
        try:
            os.fchmod(fd, mode)
            os.utime(fd, ns=(time_ns, time_ns))
        finally:
            os.close(fd)
