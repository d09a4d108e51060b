"""From files to an archive, in a child of the zygote whose root is a container's.

Nothing is followed on the way, what is opened is looked at again behind the open, and whatever a
program of the container changes meanwhile can only change what the archive says. Import-light.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.image.layer import tar
from dockerlab.image.layer.tarwriter import TarWriter, padding
from dockerlab.kernel import constants, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Packer"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A fifo must not keep us, nor a terminal become ours.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BENEATH = constants.RESOLVE_BENEATH | constants.RESOLVE_NO_SYMLINKS
_CAPABILITY = "security.capability"
_SEND_BYTES = 1 << 20
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# What the kernel makes up: its folders are packed without what is in them.
_KERNEL_FILE_SYSTEMS = frozenset(
    {
        constants.PROC_SUPER_MAGIC,
        constants.DEVPTS_SUPER_MAGIC,
        constants.SYSFS_MAGIC,
        constants.CGROUP_SUPER_MAGIC,
        constants.CGROUP2_SUPER_MAGIC,
        constants.MQUEUE_MAGIC,
    }
)
_ENGINES_OWN = "/dev"


class Packer:
    """Packs one tree.

    Parameters
    ----------
    write : callable
        Takes bytes of the archive.
    data_fd : int
        Where they go: files are sent to it by the kernel.
    stays_on_mount : bool
        Leave out what is mounted below: its folders and files are packed empty.
    """

    def __init__(
        self, write: Callable[[bytes], None], data_fd: int, *, stays_on_mount: bool = False
    ) -> None:
        self._write = write
        self._data_fd = data_fd
        self._tar = TarWriter(write)
        self._stays_on_mount = stays_on_mount
        self._names: dict[tuple[int, int], bytes] = {}

    def pack_folder(self, top_fd: int, at: str, name: bytes) -> None:
        """Pack an open folder with everything in it.

        Parameters
        ----------
        at : str
            Its path in the container.
        name : bytes
            What its path in the archive is, with a slash behind it; empty leaves it out.
        """
        if name:
            self._folder(os.fstat(top_fd), name)
        waiting = [""]
        while waiting:
            path = waiting.pop()
            try:
                folder = syscalls.openat2(top_fd, path or ".", _FOLDER, _BENEATH)
            except OSError as error:
                if error.errno in _GONE and path:
                    continue  # It was removed or replaced meanwhile.
                raise
            inner = []
            try:
                for entry in sorted(os.listdir(folder)):
                    below = f"{path}/{entry}" if path else entry
                    archived = name + os.fsencode(below)
                    if self._pack(folder, entry, archived, f"{at.rstrip('/')}/{below}"):
                        inner.append(below)
            finally:
                os.close(folder)
            waiting += reversed(inner)

    def pack_file(self, folder_fd: int, entry: str, name: bytes) -> None:
        """Pack a file that is no folder."""
        self._pack(folder_fd, entry, name, "")

    def finish(self) -> None:
        """Write the end of the archive."""
        self._tar.finish()

    def _pack(self, folder_fd: int, entry: str, name: bytes, at: str) -> bool:
        """Pack one name; tell whether it is a folder to go into."""
        try:
            status = os.stat(entry, dir_fd=folder_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        mode = status.st_mode
        is_elsewhere = self._stays_on_mount and not _is_same_mount(folder_fd, entry)
        if stat.S_ISDIR(mode):
            self._folder(status, name)
            return not is_elsewhere and at != _ENGINES_OWN and not _is_kernels(folder_fd, entry)
        if is_elsewhere:
            self._tar.member(name, tar.REGULAR, mode=stat.S_IMODE(mode))
        elif stat.S_ISREG(mode):
            self._regular(folder_fd, entry, name)
        elif stat.S_ISLNK(mode):
            link = os.fsencode(os.readlink(entry, dir_fd=folder_fd))
            self._member(status, name, tar.SYMLINK, link=link)
        elif stat.S_ISFIFO(mode):
            self._member(status, name, tar.FIFO)
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            kind = tar.CHARACTER_DEVICE if stat.S_ISCHR(mode) else tar.BLOCK_DEVICE
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
            self._member(status, name, kind, device=device)
        return False  # A socket has no place in an archive.

    def _folder(self, status: os.stat_result, name: bytes) -> None:
        self._member(status, name, tar.DIRECTORY)

    def _regular(self, folder_fd: int, entry: str, name: bytes) -> None:
        try:
            fd = os.open(entry, _READ, dir_fd=folder_fd)
        except OSError as error:
            if error.errno in _GONE:
                return
            raise
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return  # Replaced between the look and the open.
            key = (status.st_dev, status.st_ino)
            if status.st_nlink > 1 and (first := self._names.get(key)) is not None:
                self._member(status, name, tar.HARD_LINK, link=first)
                return
            self._names[key] = name
            xattrs = _capability(fd)
            self._member(status, name, tar.REGULAR, size=status.st_size, xattrs=xattrs)
            self._send(fd, status.st_size)
        finally:
            os.close(fd)

    def _send(self, fd: int, size: int) -> None:
        left = size
        while left and (sent := os.sendfile(self._data_fd, fd, None, min(left, _SEND_BYTES))):
            left -= sent
        while left:  # It became shorter than its header says.
            piece = min(left, _SEND_BYTES)
            self._write(bytes(piece))
            left -= piece
        self._write(padding(size))

    def _member(  # noqa: PLR0913 - what a header has beside the status
        self,
        status: os.stat_result,
        name: bytes,
        kind: bytes,
        *,
        size: int = 0,
        link: bytes = b"",
        device: tuple[int, int] = (0, 0),
        xattrs: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        self._tar.member(
            name,
            kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            size=size,
            mtime_ns=status.st_mtime_ns,
            link=link,
            device=device,
            xattrs=xattrs or (),
        )


def _capability(fd: int) -> list[tuple[bytes, bytes]]:
    try:
        return [(os.fsencode(_CAPABILITY), os.getxattr(fd, _CAPABILITY))]
    except OSError:
        return []


def _is_same_mount(folder_fd: int, entry: str) -> bool:
    try:
        flags = os.O_PATH | os.O_NOFOLLOW
        os.close(syscalls.openat2(folder_fd, entry, flags, constants.RESOLVE_NO_XDEV))
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        if error.errno not in _GONE:
            raise
    return True


def _is_kernels(folder_fd: int, entry: str) -> bool:
    try:
        fd = os.open(entry, _FOLDER, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in _GONE:
            return True
        raise
    try:
        return syscalls.filesystem_type(fd) in _KERNEL_FILE_SYSTEMS
    finally:
        os.close(fd)
