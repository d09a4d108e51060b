"""Paths inside a container's root, opened without ever leaving it.

An image decides what its paths are: `/proc` may be a link to `/etc`, `/etc` one to `../../etc`. So
the kernel resolves every path with the container's root as the root (openat2(2)), what is found is
held as a descriptor, and whatever is done is done to the descriptor, never again to the path.
See CVE-2019-19921, CVE-2021-30465, CVE-2025-31133.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.kernel import constants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Kernel(Protocol):
        """The system calls that the mount plan uses: `kernel.syscalls`, or `kernel.fake`."""

        def fsopen(self, kind: str) -> int:
            """fsopen(2)."""

        def fsconfig_string(self, fs_fd: int, key: str, value: str) -> None:
            """fsconfig(2)."""

        def fsconfig_flag(self, fs_fd: int, key: str) -> None:
            """fsconfig(2)."""

        def fsconfig_create(self, fs_fd: int) -> None:
            """fsconfig(2)."""

        def fsmount(self, fs_fd: int, attributes: int) -> int:
            """fsmount(2)."""

        def open_tree(self, directory_fd: int, path: str, flags: int) -> int:
            """open_tree(2)."""

        def move_mount(self, mount_fd: int, target_fd: int) -> None:
            """move_mount(2)."""

        def mount_setattr(
            self, mount_fd: int, set_: int, clear: int, propagation: int, *, recursive: bool
        ) -> None:
            """mount_setattr(2)."""

        def mount(self, source: str, target: str, kind: str, flags: int, data: str) -> None:
            """mount(2)."""

        def openat2(self, directory_fd: int, path: str, flags: int, resolve: int) -> int:
            """openat2(2)."""

        def fstat(self, fd: int) -> os.stat_result:
            """fstat(2)."""

        def mkdirat(self, directory_fd: int, name: str, mode: int) -> None:
            """mkdirat(2)."""

        def mknodat(self, directory_fd: int, name: str, mode: int, device: int) -> None:
            """mknodat(2)."""

        def symlinkat(self, text: str, directory_fd: int, name: str) -> None:
            """symlinkat(2)."""

        def chownat(self, directory_fd: int, name: str, uid: int, gid: int) -> None:
            """fchownat(2)."""

        def write(self, fd: int, data: bytes) -> None:
            """write(2)."""

        def close(self, fd: int) -> None:
            """close(2)."""


__all__ = ["Held", "make_directory", "make_file", "open_path"]

_IN_ROOT = constants.RESOLVE_IN_ROOT | constants.RESOLVE_NO_MAGICLINKS
_NO_LINKS = _IN_ROOT | constants.RESOLVE_NO_SYMLINKS
_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644


class Held:
    """A descriptor that the block needs, closed behind it.

    Parameters
    ----------
    kernel : Kernel
        What closes it.
    """

    __slots__ = ("_fd", "_kernel")

    def __init__(self, kernel: Kernel, fd: int) -> None:
        self._kernel = kernel
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        self._kernel.close(self._fd)


def open_path(
    kernel: Kernel, root_fd: int, path: str, *, follow: bool = True, flags: int = os.O_PATH
) -> int:
    """Open `path` with `root_fd` as the root; the caller closes.

    Parameters
    ----------
    follow : bool
        Resolve symbolic links, inside the root; otherwise one is an error (ELOOP).
    """
    resolve = _IN_ROOT if follow else _NO_LINKS
    return kernel.openat2(root_fd, path.lstrip("/") or ".", flags, resolve)


def make_directory(kernel: Kernel, root_fd: int, path: str, *, follow: bool = True) -> int:
    """Open the directory `path`, made with its parents where it is missing; the caller closes."""
    try:
        return open_path(kernel, root_fd, path, follow=follow)
    except FileNotFoundError:
        pass
    parent, name = os.path.split(os.path.normpath("/" + path).rstrip("/"))
    with Held(kernel, make_directory(kernel, root_fd, parent, follow=follow)) as parent_fd:
        _tolerate_existing(lambda: kernel.mkdirat(parent_fd, name, _DIRECTORY_MODE))
        # A dangling link is still there and still leads nowhere: ELOOP, not a guess.
        return kernel.openat2(parent_fd, name, os.O_PATH, _NO_LINKS)


def make_file(kernel: Kernel, root_fd: int, path: str) -> int:
    """Open `path`, made as an empty file where it is missing; the caller closes."""
    try:
        return open_path(kernel, root_fd, path)
    except FileNotFoundError:
        pass
    parent, name = os.path.split(os.path.normpath("/" + path))
    with Held(kernel, make_directory(kernel, root_fd, parent)) as parent_fd:
        mode = stat.S_IFREG | _FILE_MODE
        _tolerate_existing(lambda: kernel.mknodat(parent_fd, name, mode, 0))
        return kernel.openat2(parent_fd, name, os.O_PATH, _NO_LINKS)


def _tolerate_existing(make: Callable[[], None]) -> None:
    try:
        make()
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
