"""Copies between this machine and containers: the client's side of `docker cp` and `docker export`.

What is copied out is unpacked into a new folder beside its place (`unpacking`), and takes its
place by a rename; links that stand there are replaced, never followed.
"""

import json
import os
import stat
import tarfile
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from dockerlab.client.refusals import check, engine_errors
from dockerlab.client.session import Session
from dockerlab.client.unpacking import unpack
from dockerlab.errors import InvalidArgument, NotFound

__all__ = ["copy_in", "copy_out", "save_export", "split_place"]

# The archive of what is copied in stays in memory up to here.
_IN_MEMORY_BYTES = 16 << 20
# The bit of a folder in Go's file modes, which the API gives (`os.ModeDir`).
_GO_FOLDER = 1 << 31


def split_place(text: str) -> tuple[str, str] | None:
    """Return container and path of ``CONTAINER:PATH``; None for a path here.

    Examples
    --------
    >>> split_place("web:/etc/hosts"), split_place("./a:b"), split_place("/tmp/x")
    (('web', '/etc/hosts'), None, None)
    """
    name, colon, path = text.partition(":")
    if not colon or not name or "/" in name or name.startswith("."):
        return None
    return name, path or "/"


def copy_out(session: Session, container: str, path: str, destination: Path) -> Path:
    """Copy a file or a folder out of a container; return where it is.

    A destination that is a folder takes it by its name, or takes what is below it where `path` ends
    with ``/.``; one that is not there is made, in a folder that is.

    Raises
    ------
    InvalidArgument
        The destination cannot take it, or the archive is not one of files.
    NotFound
        It is not there, or there is no folder for it.
    """
    target = Path(os.path.abspath(destination.expanduser()))  # noqa: PTH100 - links stay
    if not target.parent.is_dir():
        raise NotFound(f'there is no folder "{target.parent}"', "make it first")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".dockerlab-cp-") as scratch:
        with engine_errors(session.address):
            pieces, _ = session.api.get_archive(container, path)
            top = unpack(pieces, Path(scratch))
        fetched = Path(scratch) / top
        if target.is_dir():
            if fetched.is_dir() and not fetched.is_symlink() and path.endswith("/."):
                _merge(fetched, target)
                return target
            name = PurePosixPath(path).name
            target = target / (top if name in ("", "..") else name)
        elif str(destination).endswith("/") and not fetched.is_dir():
            raise NotFound(f'there is no folder "{destination}"', "make it first")
        _merge(fetched, target)
    return target


def copy_in(session: Session, source: str, container: str, path: str) -> str:
    """Copy a file or a folder into a container, to root; return where it is.

    The destination is as in `copy_out`, with `source` in the place of the path.

    Raises
    ------
    NotFound
        The source, or the container, or the folder in it, is not there.
    InvalidArgument
        A folder would take the place of a file.
    """
    place = Path(source).expanduser()
    if not os.path.lexists(place):
        raise NotFound(f'there is no "{source}"')
    is_folder = place.is_dir()
    found = _stat(session, container, path)
    if found is None:
        # A new name in a folder that is there.
        folder, name = os.path.split(path.rstrip("/") if is_folder else path)
    elif found:
        folder = path
        name = "" if is_folder and source.endswith("/.") else Path(os.path.abspath(place)).name  # noqa: PTH100 - links stay
    elif is_folder:
        raise InvalidArgument(f'"{container}:{path}" is a file, which no folder can replace')
    else:
        folder, name = os.path.split(path)
    if not name and not is_folder:
        raise NotFound(f'there is no folder "{container}:{path}"', "make it first")
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as packed:
        _pack(place, name or ".", packed)
        packed.seek(0)
        with engine_errors(session.address):
            session.api.put_archive(container, folder or "/", packed)
    return f"{container}:{PurePosixPath(folder or '/', name)}"


def save_export(session: Session, container: str, path: Path) -> Path:
    """Write the archive of all files of a container; nothing is there until it is whole.

    Raises
    ------
    InvalidArgument
        It cannot be written there.
    """
    target = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - links stay
    with _renamed(target) as file, engine_errors(session.address):
        for piece in session.api.export(container):
            file.write(piece)
    return target


@contextmanager
def _renamed(target: Path) -> Iterator[Any]:
    try:
        file = tempfile.NamedTemporaryFile(dir=target.parent, prefix=".dockerlab-", delete=False)  # noqa: SIM115 - closed below
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidArgument(f'cannot write "{target}": {reason}') from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(target)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


def _stat(session: Session, container: str, path: str, *, follows: bool = True) -> bool | None:
    """Tell whether a path in a container is a folder; None when it is not there."""
    api = session.api
    url = f"{api.base_url}/v{api.api_version}/containers/{quote(container, safe='')}/archive"
    with engine_errors(session.address):
        response = api.head(url, params={"path": path}, timeout=api.timeout)
        # A HEAD has no sentence, and the same status for what lacks: the container says it itself.
        header = response.headers.get("X-Docker-Container-Path-Stat", "")
        if not header:
            api.inspect_container(container)
            if response.status_code == 404:  # noqa: PLR2004 - RFC 9110
                return None
            check(response)
        found = json.loads(b64decode(header))
    if follows and found.get("linkTarget"):
        return _stat(session, container, str(found["linkTarget"]), follows=False)
    return bool(found["mode"] & _GO_FOLDER)


def _merge(source: Path, target: Path) -> None:
    """Move what was fetched into its place; folders that are there take what is below."""
    is_folder = stat.S_ISDIR(source.lstat().st_mode)
    if not os.path.lexists(target):
        source.rename(target)
        return
    is_there_folder = stat.S_ISDIR(target.lstat().st_mode)
    if is_folder != is_there_folder and (is_there_folder or not target.is_symlink()):
        raise InvalidArgument(
            f'"{target}" is there, and is {"a folder" if is_there_folder else "no folder"}',
            "move it away first",
        )
    if not is_there_folder:
        # A link that stands here is replaced, never followed.
        if is_folder:
            target.unlink()
        source.replace(target)
        return
    for each in source.iterdir():
        _merge(each, target / each.name)


def _pack(place: Path, name: str, packed: Any) -> None:
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(place, arcname=name, filter=_owned_by_root)


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
