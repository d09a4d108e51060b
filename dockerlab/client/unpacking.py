"""An archive of a container's files, written below a new folder of this machine.

Archives come from containers, so nothing in them is trusted. Until the last step there are regular
files and folders only: no link of a container leads a write anywhere. Owners are whoever copies,
set-id bits are taken, devices and sockets are left out.
"""

import io
import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dockerlab.errors import InvalidArgument, NotFound

__all__ = ["unpack"]

_PERMISSIONS = 0o777
_OWNER = 0o700


def unpack(pieces: Iterable[bytes], folder: Path) -> str:
    """Write an archive's files below a new, empty folder; return the name of the one at its top.

    Raises
    ------
    InvalidArgument
        It is no archive, or a name in it leads out of the folder or is there twice.
    NotFound
        There is nothing in it.
    """
    unpacking = _Unpacking(folder)
    try:
        with tarfile.open(fileobj=io.BufferedReader(_Stream(pieces)), mode="r|") as archive:
            for member in archive:
                unpacking.take(member, archive)
    except (tarfile.TarError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise InvalidArgument(f"the engine's archive cannot be read: {error}") from error
    unpacking.finish()
    if not unpacking.top:
        raise NotFound("the engine gave no file")
    return unpacking.top


class _Unpacking:
    """What has been written so far, and what waits for the end."""

    def __init__(self, folder: Path) -> None:
        self.top = ""
        self._folder = folder
        self._links: dict[Path, str] = {}

    def take(self, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        """Write one file or folder, or note a link."""
        parts = _parts(member.name)
        if not parts:
            return
        self.top = self.top or parts[0]
        path = self._folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.issym():
            self._links[path] = member.linkname
        elif member.isdir():
            path.mkdir(exist_ok=True)
            # Open to its owner, who has to move it yet, and may want to remove it.
            path.chmod(member.mode & _PERMISSIONS | _OWNER)
        elif member.isreg():
            with path.open("xb") as file:
                content: Any = archive.extractfile(member)
                shutil.copyfileobj(content, file)
            path.chmod(member.mode & _PERMISSIONS)
        elif member.islnk():
            self._share(self._folder.joinpath(*_parts(member.linkname)), path)

    def _share(self, source: Path, path: Path) -> None:
        """Make a hard link to what came before: a regular file, or a link that waits."""
        if source in self._links:
            self._links[path] = self._links[source]
        elif source.is_file():
            os.link(source, path)

    def finish(self) -> None:
        """Make the links."""
        for path, target in self._links.items():
            if not os.path.lexists(path):
                path.symlink_to(target)


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a name in an archive, or refuse one that leads out of the folder."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise InvalidArgument(f'the engine\'s archive has a file "{name[:80]}" outside of it')
    return parts


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file, for `tarfile`."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        """Tell that it is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next; 0 at the end."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
