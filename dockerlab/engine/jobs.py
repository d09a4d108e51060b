"""The zygote's job table, and the file that it is started from.

Executed by an isolated interpreter (`-I -S -E`), which finds nothing by itself: the arguments are
the number of a socket, the runtime folder where a user namespace is needed (else nothing), and the
folders to import from, first the package's, then the decompressors'.
The daemon imports this file only for its path. Import-light, for what is loaded here is shared with
every monitor and worker.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.extend(sys.argv[3:])

from dockerlab.engine import filejobs
from dockerlab.image.layer.measuring import apparent_size
from dockerlab.image.layer.removal import remove_at
from dockerlab.image.layer.worker import unpack
from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import holder, monitor, zygote

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

__all__ = ["JOBS", "measure_tree", "remove_tree"]


def remove_tree(args: dict[str, Any], fds: list[int]) -> None:
    """Delete ``path`` with everything in it; it must be below ``root``, and may be gone already.

    Parameters
    ----------
    fds : list of int
        Closed at the end: whoever wants to wait holds the other side of one.
    """
    parent, name = os.path.split(os.path.relpath(args["path"], args["root"]))
    # The kernel refuses a way out of the root, by ".." or by a link that a container has left.
    resolve = constants.RESOLVE_BENEATH | constants.RESOLVE_NO_SYMLINKS
    flags = os.O_RDONLY | os.O_DIRECTORY
    root_fd = os.open(args["root"], flags | os.O_CLOEXEC)
    try:
        parent_fd = syscalls.openat2(root_fd, parent or ".", flags, resolve)
        remove_at(parent_fd, os.fsencode(name))
    except FileNotFoundError:
        return
    finally:
        for fd in fds:
            os.close(fd)


def measure_tree(args: dict[str, Any], fds: list[int]) -> None:
    """Write the sum of the apparent sizes of the files below ``path`` to the descriptor."""
    [answer] = fds
    os.write(answer, b"%d" % apparent_size(os.fsencode(args["path"])))


def _entry(runtime_dir: str) -> Callable[[socket.socket], None] | None:
    return (lambda sock: holder.enter(sock, runtime_dir)) if runtime_dir else None


JOBS: dict[str, zygote.Job] = {
    "monitor": monitor.run,
    "unpack": unpack,
    "remove_tree": remove_tree,
    "measure_tree": measure_tree,
    **filejobs.JOBS,
}

if __name__ == "__main__":
    zygote.serve(int(sys.argv[1]), JOBS, _entry(sys.argv[2]))
