"""The zygote's jobs of a build: taking a context, finding what COPY names, and putting it in place.

A source is a folder of the engine's (a context), or the root of an image or a stage; either becomes
the root of a process of its own, which packs. Another process, whose root is the image's that is
being built, unpacks. So no name of a context or an image ever leads to a file of the host, or from
one of them into the other. Import-light. The daemon's side is `buildfiles`.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.engine.buildsources import decompressor, find, hash_source, is_archive
from dockerlab.engine.containerpaths import Refusal, owner_of, resolve_text
from dockerlab.engine.jobprocess import answer, apart, writer
from dockerlab.engine.packing import Packer
from dockerlab.engine.placing import Below, apply
from dockerlab.image.layer.compression import open_reader
from dockerlab.image.layer.fault import LayerFault, Limits
from dockerlab.image.layer.source import Source
from dockerlab.image.layer.tar import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    SYMLINK,
)
from dockerlab.runtime import containerroot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerlab.image.layer.tar import Entry

__all__ = ["JOBS"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER_MODE = 0o755
_PIECE_BYTES = 1 << 20


def take_context(args: dict[str, Any], fds: list[int]) -> None:
    """Unpack a build's context from a stream into an empty folder, everything root's.

    Parameters
    ----------
    args : dict
        ``folder``; ``userxattr``: in a user namespace; ``limit_bytes`` of the archive.
    fds : list of int
        The socket, and the stream.
    """
    control, data_fd = fds

    def body() -> None:
        """Unpack."""
        containerroot.enter_folder(args["folder"])
        limits = Limits(total_bytes=args["limit_bytes"])
        source = Source(open_reader(data_fd), limits.total_bytes)
        reader = _Placed(source, limits, b"", owner=(0, 0))
        reader.has_devices = False
        _apply(reader, source, limits, is_rootless=bool(args["userxattr"]))
        answer(control, {})

    apart(control, body)


def read_context(args: dict[str, Any], fds: list[int]) -> None:
    """Answer with small files of a context: ``texts``, None for one that is not there.

    Parameters
    ----------
    args : dict
        ``folder``, ``paths``, ``limit_bytes``.
    fds : list of int
        The socket, and a stream that the texts are written to one behind the other.
    """
    control, data_fd = fds

    def body() -> None:
        """Read."""
        containerroot.enter_folder(args["folder"])
        write = writer(data_fd)
        sizes: list[int] = []
        for path in args["paths"]:
            data = _read(path, args["limit_bytes"])
            sizes.append(-1 if data is None else len(data))
            write(data or b"")
        answer(control, {"sizes": sizes})

    apart(control, body)


def _read(path: str, limit_bytes: int) -> bytes | None:
    try:
        fd = os.open(f"/{path}", _READ)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Refusal("invalid", f'"{path}" is not a file')
        if status.st_size > limit_bytes:
            raise Refusal("invalid", f'"{path}" is larger than {limit_bytes} bytes')
        data = b""
        while piece := os.read(fd, _PIECE_BYTES):
            data += piece
        return data
    finally:
        os.close(fd)


def remove_from_context(args: dict[str, Any], fds: list[int]) -> None:
    """Remove ``paths`` of the context ``folder``, those that are there."""
    [control] = fds

    def body() -> None:
        """Remove."""
        containerroot.enter_folder(args["folder"])
        for path in args["paths"]:
            try:
                os.unlink(f"/{path}")
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
                    raise
        answer(control, {})

    apart(control, body)


def find_sources(args: dict[str, Any], fds: list[int]) -> None:
    """Answer with what patterns mean, one message a source, and an empty one at the end.

    Parameters
    ----------
    args : dict
        ``source``: see `_enter`; ``patterns``; ``finds_archives``: ADD unpacks them.

    Notes
    -----
    A message has ``pattern`` (its number), ``path``, ``is_folder``, ``is_archive``, ``digest`` (of
    names, modes, owners and bytes; no times).
    """
    [control] = fds

    def body() -> None:
        """Look, and hash."""
        _enter(args["source"])
        for number, pattern in enumerate(args["patterns"]):
            for path in find(pattern):
                status = os.stat(path)
                is_folder = stat.S_ISDIR(status.st_mode)
                found = {
                    "pattern": number,
                    "path": path,
                    "is_folder": is_folder,
                    "is_archive": bool(args["finds_archives"])
                    and stat.S_ISREG(status.st_mode)
                    and is_archive(path),
                    "digest": hash_source(path),
                }
                answer(control, found)
        answer(control, {})

    apart(control, body)


def pack_source(args: dict[str, Any], fds: list[int]) -> None:
    """Write a source to a stream: a folder's contents or a file as an archive, or an archive.

    Parameters
    ----------
    args : dict
        ``source``: see `_enter`; ``path``, ``is_archive``.
    """
    control, data_fd = fds

    def body() -> None:
        """Pack."""
        _enter(args["source"])
        path = args["path"]
        if args["is_archive"]:
            _send_archive(path, data_fd)
        else:
            packer = Packer(writer(data_fd), data_fd)
            if os.path.isdir(path):
                packer.pack_folder(os.open(path, _FOLDER), path, b"")
            else:
                folder, name = os.path.split(os.path.realpath(path))
                packer.pack_file(os.open(folder, _FOLDER), name, b"file")
            packer.finish()
        answer(control, {})

    apart(control, body)


def _send_archive(path: str, data_fd: int) -> None:
    write = writer(data_fd)
    fd = os.open(path, _READ)
    try:
        decompress = decompressor(fd)
        while piece := os.read(fd, _PIECE_BYTES):
            for part in decompress(piece):
                write(part)
    finally:
        os.close(fd)


def place_source(args: dict[str, Any], fds: list[int]) -> None:
    """Unpack what `pack_source` writes below a path of a container's root.

    Parameters
    ----------
    args : dict
        ``root``: see `containerroot.enter`; ``target``; ``name``: of a lone file in a folder, ''
        for what is a folder or an archive; ``is_inside``: the target is a folder whatever is there;
        ``owner``: ``user:group`` or ''; ``keeps_owners``; ``mode``: of everything, or None;
        ``userxattr``.
    """
    control, data_fd = fds

    def body() -> None:
        """Unpack."""
        containerroot.enter(args["root"], -1)
        owner = owner_of(args["owner"])
        target = resolve_text(args["target"])
        name = args["name"]
        if name and not (args["is_inside"] or os.path.isdir(target)):
            target, name = os.path.split(target)
        # As in Docker, those above a folder are root's, those above a lone file its owner's.
        _make_folders(
            target if name else os.path.dirname(target), (owner or (0, 0)) if name else (0, 0)
        )
        _make_folders(target, owner or (0, 0))
        limits = Limits()
        source = Source(open_reader(data_fd), limits.total_bytes)
        given = owner if owner or args["keeps_owners"] else (0, 0)
        reader = _Placed(source, limits, os.fsencode(target.strip("/")), owner=given)
        reader.lone_name = os.fsencode(name)
        reader.mode = args["mode"]
        _apply(reader, source, limits, is_rootless=bool(args["userxattr"]))
        answer(control, {})

    apart(control, body)


def make_folder(args: dict[str, Any], fds: list[int]) -> None:
    """Make a folder of a container's root, with those above it, where it is not there."""
    [control] = fds

    def body() -> None:
        """Make it."""
        containerroot.enter(args["root"], -1)
        _make_folders(resolve_text(args["path"]), (0, 0))
        answer(control, {})

    apart(control, body)


JOBS = {
    "find_sources": find_sources,
    "make_folder": make_folder,
    "pack_source": pack_source,
    "place_source": place_source,
    "read_context": read_context,
    "remove_from_context": remove_from_context,
    "take_context": take_context,
}


def _enter(source: dict[str, Any]) -> None:
    """Make a source the root: ``folder``, or else a container's root (`containerroot.enter`)."""
    if "folder" in source:
        containerroot.enter_folder(source["folder"])
    else:
        containerroot.enter(source, -1)


def _make_folders(path: str, owner: tuple[int, int]) -> None:
    """Make a folder and those above it; the new ones belong to `owner`."""
    here = ""
    for name in path.strip("/").split("/"):
        here = f"{here}/{name}"
        try:
            os.mkdir(here, _FOLDER_MODE)
        except FileExistsError:
            if not os.path.isdir(here):
                raise Refusal("invalid", f'"{here}" is not a directory') from None
            continue
        except IsADirectoryError:
            continue  # The root.
        _give(here, owner)


def _give(path: str, owner: tuple[int, int]) -> None:
    try:
        os.chown(path, *owner)
    except OSError as error:
        # In a user namespace not every id exists; the folder stays root's.
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise


def _apply(reader: _Placed, source: Source, limits: Limits, *, is_rootless: bool) -> None:
    root_fd = os.open("/", _FOLDER)
    try:
        apply(root_fd, reader, source, limits, is_rootless=is_rootless)
    finally:
        os.close(root_fd)


class _Placed(Below):
    """What a step puts below a folder.

    Attributes
    ----------
    lone_name : bytes
        What its only member is called.
    mode : int or None
        The permissions of everything.
    has_devices : bool
        Without it device nodes are left out.
    """

    lone_name = b""
    mode: int | None = None
    has_devices = True

    def admit(self, entry: Entry, path: bytes) -> bytes:
        """Return the lone name where there is one, and nothing for a device that is left out."""
        if self.lone_name and entry.kind == DIRECTORY:
            raise LayerFault("tar", "a folder stands where a file was expected")
        if not self.has_devices and entry.kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
            return b""
        return self.lone_name or path

    def settle(self, entry: Entry) -> None:
        """Give it the mode that the step asks for."""
        if self.mode is not None and entry.kind != SYMLINK:
            entry.mode = self.mode
