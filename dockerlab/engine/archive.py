"""The records of copying from and to containers: a path's facts, and a change."""

import msgspec

__all__ = ["Change", "PathStat"]


class PathStat(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a container. `mode` is the kernel's, inode(7); `link_target` is resolved."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link_target: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a container did to a path. `kind` is 0 for changed, 1 for added, 2 for deleted."""

    path: str
    kind: int
