"""A recording double of the system calls that the mount plan uses.

For tests without root: it keeps a small tree of names, hands out descriptors, and writes down what
was asked for in which order. It is faithful in what the plan relies on (missing names, existing
names, links that may not be followed, descriptors that must be closed) and in nothing else.
"""

from __future__ import annotations

import errno
import os

from dockerlab.kernel import constants

__all__ = ["FakeKernel"]

# See inode(7).
S_IFCHR = 0o020000
S_IFDIR = 0o040000
S_IFREG = 0o100000

_FIRST_FD = 100
_NULL_DEVICE = os.makedev(1, 3)


class FakeKernel:
    """Stands in for `kernel.syscalls`.

    Parameters
    ----------
    tree : dict of str to str
        Path -> ``directory``, ``file``, ``null``, or ``link:<target>``. "/" is always there.

    Attributes
    ----------
    calls : list of tuple
        Name of the call, then what identifies it: paths in place of descriptors.
    open_fds : dict of int to str
        Descriptors that are not closed yet -> what they have open.
    """

    ROOT = 3

    def __init__(self, tree: dict[str, str] | None = None) -> None:
        self._tree = {"/": "directory", **(tree or {})}
        self._next_fd = _FIRST_FD
        self._configured: dict[int, list[str]] = {}
        self.calls: list[tuple[object, ...]] = []
        self.open_fds: dict[int, str] = {self.ROOT: "/"}

    @property
    def mounts(self) -> list[tuple[str, str]]:
        """Return what was attached: (mount, target) in order."""
        return [(str(call[1]), str(call[2])) for call in self.calls if call[0] == "move_mount"]

    def kind_of(self, path: str) -> str:
        """Return what is at a path, "" for nothing."""
        return self._tree.get(path, "")

    # ------------------------------------------------------------------------------------ mounts

    def fsopen(self, kind: str) -> int:
        """Begin a file system. fsopen(2)."""
        fd = self._open(kind)
        self._configured[fd] = []
        return fd

    def fsconfig_string(self, fs_fd: int, key: str, value: str) -> None:
        """Note a parameter. fsconfig(2)."""
        self._configured[fs_fd].append(f"{key}={value}")

    def fsconfig_flag(self, fs_fd: int, key: str) -> None:
        """Note a parameter; one that needs a value is refused. fsconfig(2)."""
        if key == "lowerdir+":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), key)
        self._configured[fs_fd].append(key)

    def fsconfig_create(self, fs_fd: int) -> None:
        """Note the superblock with its parameters. fsconfig(2)."""
        self._note("create", self.open_fds[fs_fd], *self._configured[fs_fd])

    def fsmount(self, fs_fd: int, attributes: int) -> int:
        """Return a mount that is nowhere yet. fsmount(2)."""
        self._note("fsmount", self.open_fds[fs_fd], attributes)
        return self._open(self.open_fds[fs_fd])

    def open_tree(self, directory_fd: int, path: str, flags: int) -> int:
        """Return a copy of a mount. open_tree(2)."""
        found = path or self.open_fds[directory_fd]
        self._note("open_tree", found, bool(flags & constants.AT_RECURSIVE))
        return self._open(found)

    def move_mount(self, mount_fd: int, target_fd: int) -> None:
        """Note where a mount is attached. move_mount(2)."""
        self._note("move_mount", self.open_fds[mount_fd], self.open_fds[target_fd])

    def mount_setattr(
        self, mount_fd: int, set_: int, clear: int, propagation: int, *, recursive: bool
    ) -> None:
        """Note changed attributes. mount_setattr(2)."""
        self._note("setattr", self.open_fds[mount_fd], set_, clear, propagation, recursive)

    def mount(self, source: str, target: str, kind: str, flags: int, data: str) -> None:
        """Note a mount in the old way. mount(2)."""
        self._note("mount", source, target, kind, flags, data)

    # ------------------------------------------------------------------------------------- files

    def openat2(self, directory_fd: int, path: str, flags: int, resolve: int) -> int:
        """Open a name of the tree, or fail as the kernel would. openat2(2)."""
        del flags
        base = "" if directory_fd == constants.AT_FDCWD else self.open_fds[directory_fd]
        return self._open(self._resolve(os.path.normpath(f"/{base}/{path}"), resolve))

    def fstat(self, fd: int) -> os.stat_result:
        """Return kind and device of what a descriptor has open. fstat(2)."""
        kind = self._tree.get(self.open_fds[fd], "directory")
        mode = {"file": S_IFREG, "null": S_IFCHR}.get(kind, S_IFDIR)
        # A name for each member behind the first ten would be clearer, but stat_result takes none.
        device = _NULL_DEVICE if kind == "null" else 0
        return os.stat_result([mode, *[0] * 9], {"st_rdev": device})

    def mkdirat(self, directory_fd: int, name: str, mode: int) -> None:
        """Make a directory. mkdirat(2)."""
        self._make(directory_fd, name, "directory")
        self._note("mkdir", self._below(directory_fd, name), mode)

    def mknodat(self, directory_fd: int, name: str, mode: int, device: int) -> None:
        """Make a node or a file. mknodat(2)."""
        kind = "null" if device == _NULL_DEVICE else "file"
        self._make(directory_fd, name, kind)
        self._note("mknod", self._below(directory_fd, name), mode, device)

    def symlinkat(self, text: str, directory_fd: int, name: str) -> None:
        """Make a link. symlinkat(2)."""
        self._make(directory_fd, name, f"link:{text}")
        self._note("symlink", text, self._below(directory_fd, name))

    def chownat(self, directory_fd: int, name: str, uid: int, gid: int) -> None:
        """Note a new owner. fchownat(2)."""
        self._note("chown", self._below(directory_fd, name), uid, gid)

    def write(self, fd: int, data: bytes) -> None:
        """Note what is written. write(2)."""
        self._note("write", self.open_fds[fd], data)

    def close(self, fd: int) -> None:
        """Close; a second close of one descriptor is a KeyError."""
        del self.open_fds[fd]

    # ------------------------------------------------------------------------------------ inside

    def _note(self, *call: object) -> None:
        self.calls.append(call)

    def _open(self, what: str) -> int:
        self._next_fd += 1
        self.open_fds[self._next_fd] = what
        return self._next_fd

    def _below(self, directory_fd: int, name: str) -> str:
        return os.path.join(self.open_fds[directory_fd], name)

    def _make(self, directory_fd: int, name: str, kind: str) -> None:
        path = self._below(directory_fd, name)
        if path in self._tree:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        self._tree[path] = kind

    def _resolve(self, path: str, resolve: int) -> str:
        """Walk the path; a link is followed inside the root, or refused."""
        here = "/"
        for part in path.strip("/").split("/") if path != "/" else []:
            here = os.path.join(here, part)
            kind = self._tree.get(here)
            if kind is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            if kind.startswith("link:"):
                if resolve & constants.RESOLVE_NO_SYMLINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                target = os.path.join(os.path.dirname(here), kind.removeprefix("link:"))
                here = self._resolve(os.path.normpath(target), resolve)
        return here
