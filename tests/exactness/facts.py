"""Everything that is to be said of a tree of files: printed as JSON when this is run as a file.

Run as a file it can stand in a mount namespace of its own; so it imports nothing of the project.
"""

import hashlib
import json
import os
import stat
import sys
from pathlib import Path

__all__ = ["facts_of"]

# Overlayfs's own: what they mean is compared by what is there and what is not.
_MARKS = ("trusted.overlay.", "user.overlay.")


def facts_of(top: Path) -> "dict[str, dict[str, object]]":
    """Return, by path from `top`: mode, owner, time, kind, content, links, attributes."""
    first_names: dict[int, str] = {}
    facts: dict[str, dict[str, object]] = {}
    waiting = [top]
    while waiting:
        # By name, so that of a file of several names all trees call the same one the first.
        path = waiting.pop()
        status = path.lstat()
        name = "" if path == top else str(path.relative_to(top))
        facts[name] = _facts(path, status)
        facts[name]["first"] = name
        if stat.S_ISDIR(status.st_mode):
            waiting += sorted(path.iterdir(), reverse=True)
        elif status.st_nlink > 1:
            facts[name]["first"] = first_names.setdefault(status.st_ino, name)
    return facts


def _facts(path: Path, status: os.stat_result) -> "dict[str, object]":
    is_file, is_link = stat.S_ISREG(status.st_mode), stat.S_ISLNK(status.st_mode)
    return {
        "mode": stat.filemode(status.st_mode),
        "owner": [status.st_uid, status.st_gid],
        "time": status.st_mtime_ns,
        "device": status.st_rdev,
        "size": status.st_size if is_file else 0,
        "content": _digest(path) if is_file else str(path.readlink()) if is_link else "",
        "xattrs": {
            key: os.getxattr(path, key, follow_symlinks=False).hex()
            for key in sorted(os.listxattr(path, follow_symlinks=False))
            if not key.startswith(_MARKS)
        },
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    json.dump(facts_of(Path(sys.argv[1])), sys.stdout)
