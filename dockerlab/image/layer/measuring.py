"""How large a tree is: the sum of its files' apparent sizes, which is what Docker shows.

Import-light: without root it is the zygote that measures, for only it may look into every folder.
"""

import os
import stat

__all__ = ["apparent_size"]


def apparent_size(top: bytes, newer_than_ns: int = 0) -> int:
    """Sum up the regular files below `top`, a file of several names once; in bytes.

    Parameters
    ----------
    newer_than_ns : int
        Count only what was written later; by ctime, which nobody can set.

    Notes
    -----
    A folder that its owner, no root, may not look into counts nothing.
    """
    total = 0
    seen: set[int] = set()
    waiting = [top]
    while waiting:
        try:
            listing = os.scandir(waiting.pop())
        except PermissionError:
            continue
        with listing as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(entry.path)
                elif (
                    stat.S_ISREG(status.st_mode)
                    and status.st_ino not in seen
                    and status.st_ctime_ns > newer_than_ns
                ):
                    total += status.st_size
                    if status.st_nlink > 1:
                        seen.add(status.st_ino)
    return total
