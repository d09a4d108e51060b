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

from dockerlab.engine.packing import Packer
from dockerlab.engine.unpacking import unpack_into
from dockerlab.engine.upper import list_changes
from dockerlab.image.layer.fault import LayerFault
from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import containerroot, users
from dockerlab.runtime.copying import copy_tree
from dockerlab.runtime.inside import open_path
from dockerlab.runtime.protocol import StepFailure
from dockerlab.runtime.zygote import describe, run_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["JOBS", "Refusal", "place_of"]

_RESOLVE = constants.RESOLVE_IN_ROOT | constants.RESOLVE_NO_MAGICLINKS
_MAX_LINKS = 40  # path_resolution(7)
_MISSING = (errno.ENOENT, errno.ENOTDIR)
_MAX_MESSAGE_BYTES = 128 << 10
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
        _answer(control, {})

    _apart(control, body)


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
            copy_tree(source_fd, target_fd)
    finally:
        os.close(source_fd)
        os.close(target_fd)


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
    control, init_pidfd, data_fd = _sort(args, fds)

    def body() -> None:
        """Look, and pack."""
        containerroot.enter(args["root"], init_pidfd)
        folder_fd, entry = place_of(args["path"])
        status = _look(folder_fd, entry, args["path"])
        _answer(control, {"stat": _stat_shape(status, args["path"])})
        if data_fd >= 0:
            _pack(folder_fd, entry, status, args["path"], data_fd)
            _answer(control, {})

    _apart(control, body)


def export_root(args: dict[str, Any], fds: list[int]) -> None:
    """Write all of a container's root as an archive, without what is mounted in it."""
    control, init_pidfd, data_fd = _sort(args, fds)

    def body() -> None:
        """Pack."""
        containerroot.enter(args["root"], init_pidfd)
        packer = Packer(_writer(data_fd), data_fd, stays_on_mount=True)
        root_fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        packer.pack_folder(root_fd, "/", b"")
        packer.finish()
        _answer(control, {})

    _apart(control, body)


def write_archive(args: dict[str, Any], fds: list[int]) -> None:
    """Unpack an archive from a stream into a folder of a container.

    Parameters
    ----------
    args : dict
        As of `read_archive`, and ``keeps_kinds``: no folder becomes a file or conversely;
        ``user``: whose everything becomes, '' keeps owners; ``userxattr``: in a user namespace.
    """
    control, init_pidfd, data_fd = _sort(args, fds)

    def body() -> None:
        """Unpack."""
        containerroot.enter(args["root"], init_pidfd)
        target = _resolve_text(args["path"])
        folder_fd = _open_target(target, args["path"])
        owner = _owner(args["user"])
        _answer(control, {})
        unpack_into(
            data_fd,
            target.strip("/").encode("utf-8", "surrogateescape"),
            keeps_kinds=bool(args["keeps_kinds"]),
            owner=owner,
            is_rootless=bool(args["userxattr"]),
        )
        os.close(folder_fd)
        _answer(control, {})

    _apart(control, body)


def changes(args: dict[str, Any], fds: list[int]) -> None:
    """Write what a container has changed, one JSON object a line, to the stream.

    Parameters
    ----------
    args : dict
        ``overlay``: the folders of its root.
    """
    control, _, data_fd = _sort(args, fds)

    def body() -> None:
        """Compare."""
        write = _writer(data_fd)
        for path, kind in list_changes(args["overlay"]):
            write(json.dumps([path, kind]).encode("utf-8", "surrogateescape") + b"\n")
        _answer(control, {})

    _apart(control, body)


JOBS = {
    "changes": changes,
    "copy_up": copy_up,
    "export_root": export_root,
    "read_archive": read_archive,
    "write_archive": write_archive,
}


# ------------------------------------------------------------------------------------------- paths


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


def _look(folder_fd: int, entry: str, path: str) -> os.stat_result:
    try:
        return os.stat(entry, dir_fd=folder_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in _MISSING:
            raise _not_found(path) from error
        raise


def _not_found(path: str) -> Refusal:
    return Refusal("not-found", f"Could not find the file {path}")


def _stat_shape(status: os.stat_result, path: str) -> dict[str, Any]:
    clean = os.path.normpath(f"/{path}")
    name = "." if path.endswith("/.") else os.path.basename(clean) or "/"
    is_link = stat.S_ISLNK(status.st_mode)
    return {
        "name": name,
        "size": status.st_size,
        "mode": status.st_mode,
        "mtime_ns": status.st_mtime_ns,
        "link_target": _resolve_text(path) if is_link else "",
    }


def _resolve_text(path: str) -> str:
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


def _open_target(target: str, path: str) -> int:
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


def _owner(user: str) -> tuple[int, int] | None:
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


def _pack(folder_fd: int, entry: str, status: os.stat_result, path: str, data_fd: int) -> None:
    packer = Packer(_writer(data_fd), data_fd)
    name = str(_stat_shape(status, path)["name"])
    archived = os.fsencode(name)
    if stat.S_ISDIR(status.st_mode):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        top_fd = os.open(entry, flags, dir_fd=folder_fd)
        packer.pack_folder(top_fd, _resolve_text(path), archived.rstrip(b"/") + b"/")
    else:
        packer.pack_file(folder_fd, entry, archived)
    packer.finish()


# ----------------------------------------------------------------------------------- the processes


def _sort(args: dict[str, Any], fds: list[int]) -> tuple[int, int, int]:
    """Return socket, pidfd and stream; -1 for what was not given."""
    control, *others = fds
    init_pidfd = others.pop() if args.get("runs") else -1
    return control, init_pidfd, others[0] if others else -1


def _apart(control: int, body: Callable[[], None]) -> None:
    """Do it in a child of this process, and end behind it.

    A process lets go of its descriptors before it lets go of its mounts. So this one keeps the
    socket until the other has ended: whoever reads its end may mount the same folders again.
    """
    pid = os.fork()
    if pid == 0:
        run_child(lambda: _guarded(control, body))
    os.waitpid(pid, 0)


def _guarded(control: int, body: Callable[[], None]) -> None:
    try:
        body()
    except Refusal as refusal:
        _answer(control, {"error": str(refusal), "kind": refusal.kind})
    except LayerFault as fault:
        kind = "" if fault.kind in ("io", "space") else "invalid"
        _answer(control, {"error": fault.message, "kind": kind})
    except StepFailure as failure:
        _answer(control, {"error": failure.message, "kind": ""})
    except BrokenPipeError:
        return  # Nobody wants the rest.
    except OSError as error:
        if error.errno == errno.EROFS:
            _answer(control, {"error": "the file system is read-only", "kind": "forbidden"})
            return
        about = os.fsdecode(error.filename) if error.filename else ""
        reason = error.strerror or str(error)
        _answer(control, {"error": f'"{about}": {reason}' if about else reason, "kind": ""})
    except Exception as error:
        _answer(control, {"error": describe(error).strip(), "kind": ""})
        raise


def _answer(control: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode("utf-8", "surrogatepass")
    try:
        os.write(control, data[:_MAX_MESSAGE_BYTES])
    except BrokenPipeError:
        return


def _writer(fd: int) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        """Write all of it."""
        while data:
            data = data[os.write(fd, data) :]

    return write
