"""Removing a tree, however deep and whatever is in it, with a handful of descriptors.

`shutil.rmtree` recurses and keeps one descriptor a level, so a hostile layer of some thousand
nested folders would make it fail. Here a folder that is not empty is moved up beside its parents
and emptied in its turn: no path grows, nothing recurses, no link is followed. A folder whose mode
shuts out its own owner, who may not be root, is opened first.
"""

import errno
import os
import stat

__all__ = ["remove_at", "remove_tree"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove the folder or file `path`; it is no error when it is not there."""
    parent, name = os.path.split(os.fsencode(path))
    parent_fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_at(parent_fd, name)
    except FileNotFoundError:
        pass
    finally:
        os.close(parent_fd)


def remove_at(parent_fd: int, name: bytes) -> None:
    """Remove `name` in the folder `parent_fd`, with everything in it.

    Raises
    ------
    FileNotFoundError
        There is no such name.
    """
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent_fd)
        return
    top_fd = _open(name, parent_fd)
    try:
        _empty(top_fd)
    finally:
        os.close(top_fd)
    os.rmdir(name, dir_fd=parent_fd)


def _empty(top_fd: int) -> None:
    # The prefix is not to be foretold, so no name inside the tree can be in the way of a moved
    # folder.
    prefix = b".removing-" + os.urandom(8).hex().encode() + b"-"
    moved = 0
    parked = _unlink_files(top_fd)
    while parked:
        name = parked.pop()
        folder_fd = _open(name, top_fd)
        try:
            for inner in _unlink_files(folder_fd):
                target = prefix + b"%d" % moved
                moved += 1
                # To move a folder is to write to it: to its "..".
                os.close(_open(inner, folder_fd))
                os.rename(inner, target, src_dir_fd=folder_fd, dst_dir_fd=top_fd)
                parked.append(target)
        finally:
            os.close(folder_fd)
        os.rmdir(name, dir_fd=top_fd)


def _open(name: bytes, parent_fd: int) -> int:
    """Open a folder, with every right of its owner."""
    try:
        fd = os.open(name, _FOLDER, dir_fd=parent_fd)
    except PermissionError:
        _unlock(name, parent_fd)
        fd = os.open(name, _FOLDER, dir_fd=parent_fd)
    mode = os.fstat(fd).st_mode
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        try:
            os.fchmod(fd, mode | stat.S_IRWXU)
        except OSError:
            os.close(fd)
            raise
    return fd


def _unlock(name: bytes, parent_fd: int) -> None:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=parent_fd)
    try:
        # fchmod(2) takes no descriptor of O_PATH; its name in /proc is no link to be followed.
        os.chmod(f"/proc/self/fd/{fd}", stat.S_IRWXU)
    finally:
        os.close(fd)


def _unlink_files(folder_fd: int) -> list[bytes]:
    """Remove everything but folders with something in them; return the names of those."""
    folders = []
    with os.scandir(folder_fd) as entries:
        found = [
            (os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries
        ]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder_fd)
            continue
        try:
            os.rmdir(name, dir_fd=folder_fd)
        except OSError as exc:
            if exc.errno != errno.ENOTEMPTY:
                raise
            folders.append(name)
    return folders
