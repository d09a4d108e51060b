"""Paths of a container for the file jobs, in a process whose root is the container's.

The kernel resolves them in that root, and no magic link of a /proc counts. What is said of links is
text for people and clients; whoever opens it goes through the kernel again. Import-light.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "Refusal",
    "look",
    "open_target",
    "owner_of",
    "place_of",
    "resolve_text",
    "stat_shape",
]

_RESOLVE = constants.RESOLVE_IN_ROOT | constants.RESOLVE_NO_MAGICLINKS
_MAX_LINKS = 40  # path_resolution(7)
_MISSING = (errno.ENOENT, errno.ENOTDIR)
_USER_FILE_BYTES = 4 << 20


class Refusal(Exception):
    """What a client has to be told.

    Parameters
    ----------
    kind : str
        ``not-found``, ``invalid``, ``forbidden`` or ``conflict``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def place_of(path: str) -> tuple[int, str]:
    """Return the folder that a path's last name is in, opened, and that name, "." for a folder.

    Links on the way are followed inside the root, the last one is not: `docker cp` means the link,
    unless a slash stands behind it.
    """
    clean = "/" + os.path.normpath(f"/{path}").lstrip("/")
    is_folder = clean == "/" or path.endswith(("/", "/.")) or path in ("", ".")
    folder, entry = (clean, ".") if is_folder else os.path.split(clean)
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_PATH | os.O_DIRECTORY
        return syscalls.openat2(root_fd, folder, flags, _RESOLVE), entry
    except OSError as error:
        if error.errno == errno.ENOTDIR and is_folder:
            raise Refusal("invalid", f'"{path}" is not a directory') from error
        if error.errno in _MISSING:
            raise _not_found(path) from error
        raise
    finally:
        os.close(root_fd)


def look(folder_fd: int, entry: str, path: str) -> os.stat_result:
    """Return the status of a name in an open folder, a link's own; raise Refusal without one."""
    try:
        return os.stat(entry, dir_fd=folder_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in _MISSING:
            raise _not_found(path) from error
        raise


def _not_found(path: str) -> Refusal:
    return Refusal("not-found", f"Could not find the file {path}")


def stat_shape(status: os.stat_result, path: str) -> dict[str, Any]:
    """Return the facts of a path, as `engine.archive.PathStat` has them."""
    clean = os.path.normpath(f"/{path}")
    name = "." if path.endswith("/.") else os.path.basename(clean) or "/"
    is_link = stat.S_ISLNK(status.st_mode)
    return {
        "name": name,
        "size": status.st_size,
        "mode": status.st_mode,
        "mtime_ns": status.st_mtime_ns,
        "link_target": resolve_text(path) if is_link else "",
    }


def resolve_text(path: str) -> str:
    """Return where a path leads, as far as it can be followed; the text is for people and clients.

    Whoever opens it goes through the kernel again, in the container's root.
    """
    here, links = "/", 0
    waiting = path.split("/")[::-1]
    while waiting:
        name = waiting.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        there = os.path.join(here, name)
        try:
            target = os.readlink(there)
        except OSError:
            here = there
            continue
        links += 1
        if links > _MAX_LINKS:
            raise Refusal("invalid", f'too many links at "{path}"')
        here = "/" if target.startswith("/") else here
        waiting += target.split("/")[::-1]
    return here


def open_target(target: str, path: str) -> int:
    """Open the folder that is to be written to, and refuse one that may not be."""
    try:
        fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise _not_found(path) from error
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise Refusal("invalid", f'extraction point "{path}" is not a directory') from error
        raise
    if os.fstatvfs(fd).f_flag & os.ST_RDONLY:
        is_root = os.fstat(fd).st_dev == os.stat("/").st_dev
        what = "container rootfs" if is_root else "mounted volume"
        raise Refusal("forbidden", f"{what} is marked read-only")
    return fd


def owner_of(user: str) -> tuple[int, int] | None:
    """Return uid and gid of ``user[:group]``, by the container's own files; None without one."""
    if not user:
        return None
    try:
        uid, gid, _, _ = users.resolve_user(
            user, _read_small("/etc/passwd"), _read_small("/etc/group")
        )
    except users.UnresolvedUser as error:
        raise Refusal("invalid", str(error)) from error
    return uid, gid


def _read_small(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        return os.read(fd, _USER_FILE_BYTES) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)
