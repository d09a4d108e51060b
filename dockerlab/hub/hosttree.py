"""A root file system that is put together from files of this machine: a plan, as values.

Nothing is copied here: an entry says where its bytes are. Symlinks are kept as they are, with what
they lead to, so `/bin` is a link where it is one on the host. `pack` makes an archive of it.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dockerlab.errors import InvalidArgument, NotFound

__all__ = ["Entry", "Tree"]

# path_resolution(7): the kernel follows no more than these.
_MAX_SYMLINKS = 40
# What is no file of this machine's but the kernel's, or all of it.
_NOT_FOR_IMAGES = ("/", "/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A folder, a symlink (`target`), or a file with bytes from `source` or of its own (`data`).

    `mode` has the permissions only: no entry has set-user-ID bits, and all belong to root.
    """

    mode: int
    target: str = ""
    source: Path | None = None
    data: bytes | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is neither a file nor a symlink."""
        return not self.target and self.source is None and self.data is None


class Tree:
    """The entries of a root file system by path; each path begins with a slash."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def entries(self) -> list[tuple[str, Entry]]:
        """Return the entries in an order that is always the same, folders before their content."""
        return sorted(self._entries.items(), key=lambda item: item[0].split("/"))

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def add_host(self, path: str | os.PathLike[str]) -> Path:
        """Take a file or folder of the host with the folders and symlinks on the way to it.

        A folder is taken without what is in it.

        Returns
        -------
        Path
            Where the path leads, without symlinks.

        Raises
        ------
        NotFound
            Nothing is there, or the symlinks go round.
        InvalidArgument
            What is there is no file, folder or symlink.
        """
        waiting = list(PurePosixPath(os.path.abspath(path)).parts[1:])  # noqa: PTH100 - keeps symlinks
        here, followed = Path("/"), 0
        while waiting:
            part = waiting.pop(0)
            if part == "..":
                here = here.parent
                continue
            here /= part
            found = _lstat(here, str(path))
            if not stat.S_ISLNK(found.st_mode):
                self._entries.setdefault(str(here), _entry(here, found))
                continue
            target = os.readlink(here)  # noqa: PTH115 - as it is written
            self._entries.setdefault(str(here), Entry(mode=0o777, target=target))
            followed += 1
            if followed > _MAX_SYMLINKS:
                raise NotFound(f'the symlinks of "{path}" go round')
            here = Path("/") if target.startswith("/") else here.parent
            waiting[:0] = [part for part in PurePosixPath(target).parts if part != "/"]
        return here

    def add_host_tree(self, path: str | os.PathLike[str], *, without: frozenset[str]) -> list[Path]:
        """Take a file, or a folder with everything in it.

        Symlinks inside are kept and not followed; sockets and devices are left out.

        Parameters
        ----------
        without : frozenset of str
            Names of folders that are left out wherever they are.

        Returns
        -------
        list of Path
            The files, sorted.

        Raises
        ------
        NotFound, InvalidArgument
            As `add_host`; also for folders that are the kernel's.
        """
        top = self.add_host(path)
        if str(top) in _NOT_FOR_IMAGES or str(top).startswith(("/proc/", "/sys/", "/dev/")):
            raise InvalidArgument(f'cannot take "{top}" into an image: name a folder below it')
        if not top.is_dir():
            return [top]
        files = []
        for folder, folders, names in os.walk(top, onerror=_raise):
            folders[:] = sorted(set(folders) - without)
            for each in (Path(folder, name) for name in sorted([*folders, *names])):
                found = _lstat(each)
                if stat.S_ISLNK(found.st_mode):
                    self.add_link(str(each), os.readlink(each))  # noqa: PTH115 - as it is written
                elif stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode):
                    self._entries.setdefault(str(each), _entry(each, found))
                    files += [each] if stat.S_ISREG(found.st_mode) else []
        return files

    def add_link(self, path: str, target: str) -> None:
        """Add a symlink unless something is there already."""
        self._entries.setdefault(path, Entry(mode=0o777, target=target))

    def add_folder(self, path: str, mode: int = 0o755) -> None:
        """Add an empty folder unless something is there already; its parents must be there."""
        self._entries.setdefault(path, Entry(mode=mode))

    def add_data(self, path: str, data: bytes) -> None:
        """Add a file with bytes of our own unless something is there already."""
        self._entries.setdefault(path, Entry(mode=0o644, data=data))


def _entry(path: Path, found: os.stat_result) -> Entry:
    if stat.S_ISDIR(found.st_mode):
        return Entry(mode=0o755)
    if stat.S_ISREG(found.st_mode):
        return Entry(mode=0o755 if found.st_mode & 0o111 else 0o644, source=path)
    raise InvalidArgument(f'cannot take "{path}" into an image: it is no file and no folder')


def _lstat(path: Path, asked: str = "") -> os.stat_result:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFound(f'there is no "{asked or path}" on this machine') from exc


def _raise(error: OSError) -> None:
    raise error
