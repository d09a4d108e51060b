"""The zygote's jobs on a container's files: filling its volumes, copying in and out, comparing.

Each answers on a SEQPACKET socket with JSON: facts, or ``{"error", "kind"}``; archives go over a
stream beside it. The end of the socket is the end of everything that the job had mounted.
Import-light: these are children of the zygote. The daemon's side is `archives` and `storage`.
"""

from __future__ import annotations

import errno
import json
import os
import stat

from dockerlab.engine.containerpaths import (
    Refusal,
    look,
    open_target,
    owner_of,
    place_of,
    resolve_text,
    stat_shape,
)
from dockerlab.engine.jobprocess import answer, apart, sort_descriptors, writer
from dockerlab.engine.packing import Packer
from dockerlab.engine.unpacking import unpack_into
from dockerlab.engine.upper import list_changes
from dockerlab.image.layer.diff import write_layer
from dockerlab.image.layer.removal import remove_at
from dockerlab.kernel import syscalls
from dockerlab.runtime import containerroot
from dockerlab.runtime.copying import copy_tree
from dockerlab.runtime.inside import open_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["JOBS"]

_MISSING = (errno.ENOENT, errno.ENOTDIR)


def copy_up(args: dict[str, Any], fds: list[int]) -> None:
    """Fill the empty ones of a container's volumes with what its image has in their places.

    Parameters
    ----------
    args : dict
        ``overlay`` and ``mount_point`` of its root; ``copies``: ``destination`` in it, ``target``
        on the host.
    """
    [control] = fds

    def body() -> None:
        """Copy."""
        root_fd = containerroot.mount_privately(args["overlay"], args["mount_point"])
        for copy in args["copies"]:
            _copy_up(root_fd, copy["destination"], copy["target"])
        answer(control, {})

    apart(control, body)


def _copy_up(root_fd: int, destination: str, target: str) -> None:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    try:
        source_fd = open_path(syscalls, root_fd, destination, flags=flags)
    except OSError as error:
        if error.errno in (*_MISSING, errno.ENXIO):
            return
        raise
    target_fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(source_fd).st_mode):
            raise Refusal(
                "invalid",
                f'cannot mount volume over existing file, file exists "{destination}"; choose'
                " another destination",
            )
        if not os.listdir(target_fd):
            _fill(source_fd, target_fd)
    finally:
        os.close(source_fd)
        os.close(target_fd)


def _fill(source_fd: int, target_fd: int) -> None:
    try:
        copy_tree(source_fd, target_fd)
    except OSError:
        # Half filled it would never be filled again.
        for name in os.listdir(target_fd):
            remove_at(target_fd, os.fsencode(name))
        raise


def read_archive(args: dict[str, Any], fds: list[int]) -> None:
    """Tell of a path of a container and, given a stream, write it there as an archive.

    Parameters
    ----------
    args : dict
        ``root``: see `containerroot.enter`; ``path``; ``runs``: the last descriptor is the first
        process's pidfd.
    fds : list of int
        The socket, perhaps the stream, perhaps the pidfd.
    """
    control, init_pidfd, data_fd = sort_descriptors(args, fds)

    def body() -> None:
        """Look, and pack."""
        containerroot.enter(args["root"], init_pidfd)
        folder_fd, entry = place_of(args["path"])
        status = look(folder_fd, entry, args["path"])
        answer(control, {"stat": stat_shape(status, args["path"])})
        if data_fd >= 0:
            _pack(folder_fd, entry, status, args["path"], data_fd)
            answer(control, {})

    apart(control, body)


def export_root(args: dict[str, Any], fds: list[int]) -> None:
    """Write all of a container's root as an archive, without what is mounted in it."""
    control, init_pidfd, data_fd = sort_descriptors(args, fds)

    def body() -> None:
        """Pack."""
        containerroot.enter(args["root"], init_pidfd)
        packer = Packer(writer(data_fd), data_fd, stays_on_mount=True)
        root_fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        packer.pack_folder(root_fd, "/", b"")
        packer.finish()
        answer(control, {})

    apart(control, body)


def write_archive(args: dict[str, Any], fds: list[int]) -> None:
    """Unpack an archive from a stream into a folder of a container.

    Parameters
    ----------
    args : dict
        As of `read_archive`, and ``keeps_kinds``: no folder becomes a file or conversely;
        ``user``: whose everything becomes, '' keeps owners; ``userxattr``: in a user namespace.
    """
    control, init_pidfd, data_fd = sort_descriptors(args, fds)

    def body() -> None:
        """Unpack."""
        containerroot.enter(args["root"], init_pidfd)
        target = resolve_text(args["path"])
        folder_fd = open_target(target, args["path"])
        owner = owner_of(args["user"])
        answer(control, {})
        unpack_into(
            data_fd,
            target.strip("/").encode("utf-8", "surrogateescape"),
            keeps_kinds=bool(args["keeps_kinds"]),
            owner=owner,
            is_rootless=bool(args["userxattr"]),
        )
        os.close(folder_fd)
        answer(control, {})

    apart(control, body)


def changes(args: dict[str, Any], fds: list[int]) -> None:
    """Write what a container has changed, one JSON object a line, to the stream.

    Parameters
    ----------
    args : dict
        ``overlay``: the folders of its root.
    """
    control, _, data_fd = sort_descriptors(args, fds)

    def body() -> None:
        """Compare."""
        write = writer(data_fd)
        for path, kind in list_changes(args["overlay"]):
            write(json.dumps([path, kind]).encode("utf-8", "surrogateescape") + b"\n")
        answer(control, {})

    apart(control, body)


def pack_layer(args: dict[str, Any], fds: list[int]) -> None:
    """Write what a container has changed to the stream, as a layer.

    Parameters
    ----------
    args : dict
        ``overlay``: the folders of its root; ``has_owner_notes`` and ``latest_ns``: as
        `write_layer` has them.
    """
    control, data_fd = fds

    def body() -> None:
        """Pack."""
        upper_fd = os.open(args["overlay"]["upper"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        count = write_layer(
            upper_fd,
            writer(data_fd),
            has_owner_notes=bool(args["has_owner_notes"]),
            latest_ns=args["latest_ns"],
        )
        answer(control, {"members": count})

    apart(control, body)


JOBS = {
    "changes": changes,
    "copy_up": copy_up,
    "export_root": export_root,
    "pack_layer": pack_layer,
    "read_archive": read_archive,
    "write_archive": write_archive,
}


def _pack(folder_fd: int, entry: str, status: os.stat_result, path: str, data_fd: int) -> None:
    packer = Packer(writer(data_fd), data_fd)
    name = str(stat_shape(status, path)["name"])
    archived = os.fsencode(name)
    if stat.S_ISDIR(status.st_mode):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        top_fd = os.open(entry, flags, dir_fd=folder_fd)
        packer.pack_folder(top_fd, resolve_text(path), archived.rstrip(b"/") + b"/")
    else:
        packer.pack_file(folder_fd, entry, archived)
    packer.finish()
