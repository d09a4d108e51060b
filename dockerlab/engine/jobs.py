"""The zygote's job table, and the file that it is started from.

Executed by an isolated interpreter (`-I -S -E`), which finds nothing by itself: the arguments are
the number of a socket, the runtime folder where a user namespace is needed (nothing for root's own
mount namespace, `zygote.NO_NAMESPACES` for none), and the folders to import from, first the
package's, then the decompressors'.
The daemon imports this file only for its path. Import-light, for what is loaded here is shared with
every monitor and worker.
"""

from __future__ import annotations

import json
import os
import sys

if __name__ == "__main__":
    sys.path.extend(sys.argv[3:])

from dockerlab.engine import buildjobs, filejobs
from dockerlab.image.layer.measuring import apparent_size
from dockerlab.image.layer.merging import merge_layers
from dockerlab.image.layer.removal import remove_at
from dockerlab.image.layer.survey import survey
from dockerlab.image.layer.worker import unpack
from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import holder, monitor, zygote

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

__all__ = ["JOBS", "measure_tree", "merge", "remove_tree", "survey_layers"]


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
    """Write the sum of the apparent sizes of the files below ``path`` to the descriptor.

    With ``since``, the path of a file, only those that were written after it count.
    """
    [answer] = fds
    since = args.get("since")
    newer_than_ns = os.stat(since).st_ctime_ns if since else 0
    os.write(answer, b"%d" % apparent_size(os.fsencode(args["path"]), newer_than_ns))


def survey_layers(args: dict[str, Any], fds: list[int]) -> None:
    """Write what each of ``layers`` adds, changes and hides to the descriptor, or why not."""
    [answer] = fds
    try:
        found = survey(args["layers"], has_archive_marks=args["has_archive_marks"])
    except OSError as error:
        found = {"error": f"cannot look into the layers: {error.strerror}"}
    os.write(answer, json.dumps(found).encode())


def merge(args: dict[str, Any], fds: list[int]) -> None:
    """Merge ``layers`` into ``target``, emptied before; write why not to the descriptor, or ok."""
    [answer] = fds
    try:
        remove_tree({"root": os.path.dirname(args["target"]), "path": args["target"]}, [])
        os.mkdir(args["target"], 0o755)
        merge_layers(args["layers"], args["target"])
    except OSError as error:
        os.write(answer, f"{error.errno} {error.strerror}".encode())
    else:
        os.write(answer, b"ok")


def _enter(sock: socket.socket, where: str) -> None:
    if where == zygote.NO_NAMESPACES:
        return
    if where:
        holder.enter(sock, where)
    zygote.leave_mount_namespace()


JOBS: dict[str, zygote.Job] = {
    "monitor": monitor.run,
    "unpack": unpack,
    "remove_tree": remove_tree,
    "measure_tree": measure_tree,
    "merge": merge,
    "survey_layers": survey_layers,
    **filejobs.JOBS,
    **buildjobs.JOBS,
}

if __name__ == "__main__":
    zygote.serve(int(sys.argv[1]), JOBS, lambda sock: _enter(sock, sys.argv[2]))
