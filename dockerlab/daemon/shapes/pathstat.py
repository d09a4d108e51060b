"""The facts of a path as the API gives them: with the bits of Go's ``os.FileMode``.

Engine API, ``X-Docker-Container-Path-Stat``; Go, package io/fs, FileMode.
"""

import stat
from datetime import UTC, datetime

from dockerlab.daemon.shapes.moment import rfc3339
from dockerlab.engine.archive import PathStat

__all__ = ["go_mode", "path_stat"]

_DIR, _SYMLINK, _DEVICE, _FIFO, _SOCKET = 1 << 31, 1 << 27, 1 << 26, 1 << 25, 1 << 24
_SETUID, _SETGID, _CHAR_DEVICE, _STICKY = 1 << 23, 1 << 22, 1 << 21, 1 << 20
_KINDS = {
    stat.S_IFDIR: _DIR,
    stat.S_IFLNK: _SYMLINK,
    stat.S_IFBLK: _DEVICE,
    stat.S_IFCHR: _DEVICE | _CHAR_DEVICE,
    stat.S_IFIFO: _FIFO,
    stat.S_IFSOCK: _SOCKET,
}
_SPECIAL = {stat.S_ISUID: _SETUID, stat.S_ISGID: _SETGID, stat.S_ISVTX: _STICKY}


def path_stat(facts: PathStat) -> dict[str, object]:
    """Return what the header holds, before it is encoded."""
    return {
        "name": facts.name,
        "size": facts.size,
        "mode": go_mode(facts.mode),
        "mtime": rfc3339(datetime.fromtimestamp(facts.mtime_ns // 10**9, UTC)),
        "linkTarget": facts.link_target,
    }


def go_mode(mode: int) -> int:
    """Translate the kernel's mode.

    Examples
    --------
    >>> hex(go_mode(0o40755)), hex(go_mode(0o104755))
    ('0x800001ed', '0x8001ed')
    """
    special = sum(ours for theirs, ours in _SPECIAL.items() if mode & theirs)
    return mode & 0o777 | special | _KINDS.get(stat.S_IFMT(mode), 0)
