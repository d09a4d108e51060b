"""Copying a folder of a container's root into a volume: every file with all that belongs to it.

Source and target are descriptors. Below them every name is opened without following a link, so
what the image calls its files leads nowhere else. Hard links stay links, sparse files sparse.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.kernel import constants, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["copy_attributes", "copy_tree", "list_attributes"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BENEATH = constants.RESOLVE_BENEATH | constants.RESOLVE_NO_SYMLINKS
_CHUNK_BYTES = 1 << 30
_OPTIONAL_ERRORS = (errno.ENOTSUP, errno.EPERM, errno.ENODATA)
# File systems that cannot copy by themselves, or not from one to another.
_NO_COPY_ERRORS = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def copy_tree(source_fd: int, target_fd: int) -> None:
    """Copy everything below one folder into another, and the folder's own attributes.

    Raises
    ------
    OSError
        The kernel refuses; ENOSPC among the reasons. The target is then half written.
    """
    names: dict[tuple[int, int], str] = {}
    folders = [""]
    for path in folders:  # It grows while it is walked: parents stand before their children.
        here, there = _open_folder(source_fd, path), _open_folder(target_fd, path)
        try:
            for name in os.listdir(here):
                inner = f"{path}/{name}" if path else name
                status = os.stat(name, dir_fd=here, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(name, 0o700, dir_fd=there)
                    folders.append(inner)
                elif (first := names.get((status.st_dev, status.st_ino))) is not None:
                    _link(target_fd, first, there, name)
                else:
                    _copy_file(here, there, name, status)
                    if status.st_nlink > 1:
                        names[status.st_dev, status.st_ino] = inner
        finally:
            os.close(here)
            os.close(there)
    for path in reversed(folders):  # Behind what is in them: writing into a folder changes it.
        here, there = _open_folder(source_fd, path), _open_folder(target_fd, path)
        try:
            copy_attributes(here, there)
        finally:
            os.close(here)
            os.close(there)


def copy_attributes(source_fd: int, target_fd: int) -> None:
    """Give an open file or folder the owner, mode, attributes and times of another."""
    status = os.fstat(source_fd)
    os.fchown(target_fd, status.st_uid, status.st_gid)
    # Behind the owner: to change it clears the set-id bits.
    os.fchmod(target_fd, stat.S_IMODE(status.st_mode))
    for key, value in list_attributes(source_fd):
        _set_attribute(target_fd, key, value)
    os.utime(target_fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def list_attributes(target: int | str) -> Iterator[tuple[str, bytes]]:
    """Yield the extended attributes of a descriptor, or of a name in the working directory."""
    follow = isinstance(target, int)
    try:
        keys = os.listxattr(target, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _OPTIONAL_ERRORS:
            return
        raise
    for key in keys:
        try:
            yield key, os.getxattr(target, key, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in _OPTIONAL_ERRORS:
                raise


def _open_folder(root_fd: int, path: str) -> int:
    return syscalls.openat2(root_fd, path or ".", _FOLDER, _BENEATH)


def _link(root_fd: int, first: str, there: int, name: str) -> None:
    parent, _, base = first.rpartition("/")
    folder = _open_folder(root_fd, parent)
    try:
        os.link(base, name, src_dir_fd=folder, dst_dir_fd=there, follow_symlinks=False)
    finally:
        os.close(folder)


def _copy_file(here: int, there: int, name: str, status: os.stat_result) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        source = os.open(name, _READ, dir_fd=here)
        try:
            target = os.open(name, _CREATE, 0o600, dir_fd=there)
            try:
                _copy_data(source, target, status.st_size)
                copy_attributes(source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)
        return
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(name, dir_fd=here), name, dir_fd=there)
    else:
        os.mknod(name, mode, status.st_rdev, dir_fd=there)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=there, follow_symlinks=False)
    if not stat.S_ISLNK(mode):
        os.chmod(name, stat.S_IMODE(mode), dir_fd=there)
    # setxattr(2) takes no folder, and no descriptor of such a file either.
    os.fchdir(here)
    attributes = list(list_attributes(name))
    os.fchdir(there)
    for key, value in attributes:
        _set_attribute(name, key, value)
    os.chdir("/")
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=there, follow_symlinks=False)


def _copy_data(source: int, target: int, size: int) -> None:
    at = 0
    while at < size:
        try:
            begin = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # Nothing but a hole is left.
            raise
        end = min(os.lseek(source, begin, os.SEEK_HOLE), size)
        os.lseek(source, begin, os.SEEK_SET)
        os.lseek(target, begin, os.SEEK_SET)
        _copy_range(source, target, end - begin)
        at = end
    os.ftruncate(target, size)


def _copy_range(source: int, target: int, size: int) -> None:
    can_copy = True
    while size > 0:
        piece = min(size, _CHUNK_BYTES)
        try:
            if can_copy:
                done = os.copy_file_range(source, target, piece)
            else:
                done = os.sendfile(target, source, None, piece)
        except OSError as error:
            if error.errno not in _NO_COPY_ERRORS or not can_copy:
                raise
            can_copy = False
            continue
        if not done:
            return  # It became shorter meanwhile.
        size -= done


def _set_attribute(target: int | str, key: str, value: bytes) -> None:
    try:
        os.setxattr(target, key, value, follow_symlinks=isinstance(target, int))
    except OSError as error:
        if error.errno not in _OPTIONAL_ERRORS:
            raise
