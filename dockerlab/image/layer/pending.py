"""Modes and times of folders, kept until everything inside is written.

A tree and not a flat table: when a folder is replaced, everything noted below it goes in one
step, or a hostile archive could make each of a million removals look at a million names.
"""

from collections.abc import Iterator

__all__ = ["PendingFolders"]

# Mode and time in nanoseconds.
Note = tuple[int, int]


class _Node:
    __slots__ = ("children", "note")

    def __init__(self) -> None:
        self.note: Note | None = None
        self.children: dict[bytes, _Node] = {}


class PendingFolders:
    """Notes by path from the root, names joined by single slashes; empty is the root."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, path: bytes, mode: int, time_ns: int) -> None:
        """Note what the folder `path` will have; the last word counts."""
        node = self._root
        for name in path.split(b"/") if path else ():
            following = node.children.get(name)
            if following is None:
                following = node.children[name] = _Node()
            node = following
        node.note = (mode, time_ns)

    def drop(self, path: bytes) -> None:
        """Forget the folder `path` and all below it."""
        *parents, last = path.split(b"/")
        node: _Node | None = self._root
        for name in parents:
            node = node.children.get(name) if node else None
        if node:
            node.children.pop(last, None)

    def children_first(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield path, mode and time, every folder behind all that are in it."""
        waiting = [(b"", self._root)]
        noted: list[tuple[bytes, Note]] = []
        while waiting:
            path, node = waiting.pop()
            if node.note:
                noted.append((path, node.note))
            for name, child in node.children.items():
                waiting.append((path + b"/" + name if path else name, child))
        for path, (mode, time_ns) in reversed(noted):
            yield path, mode, time_ns
