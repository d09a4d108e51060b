"""Whiteouts: from the archive's names to what overlayfs understands.

`.wh.NAME` deletes a name of the layers below, `.wh..wh..opq` hides everything below in its folder
(image-spec/layer.md#whiteouts). In an overlay's lower folder the first is a character device 0:0,
the second an extended attribute of the folder (Linux, Documentation/filesystems/overlayfs.rst,
"whiteouts and opaque directories").
"""

import os
import stat

from dockerlab.image.layer.fault import LayerFault, shown

__all__ = [
    "OPAQUE",
    "OPAQUE_NAME",
    "RECORDS",
    "TRUSTED",
    "USER",
    "WHITEOUT_PREFIX",
    "ArchiveMarks",
    "Overlay",
    "hidden_name",
    "is_whiteout",
]

WHITEOUT_PREFIX = b".wh."
# aufs kept notes of its own under this prefix; only the opaque mark means something to others.
_META_PREFIX = b".wh..wh."
OPAQUE_NAME = b".wh..wh..opq"

# What `hidden_name` returns for the mark of an opaque folder: no file can have this name.
OPAQUE = b"/"

# Which attributes overlayfs reads: `trusted.` needs CAP_SYS_ADMIN in the initial user namespace,
# `user.` goes with the mount option `userxattr` (since Linux 5.11).
TRUSTED = b"trusted.overlay."
USER = b"user.overlay."

# What we note of files ourselves (`owners`).
RECORDS = b"user.dockerlab."


def hidden_name(name: bytes) -> bytes | None:
    """Return what the file name `name` hides.

    Returns
    -------
    bytes or None
        A file name, `OPAQUE` for the whole folder, b"" for nothing (a note of aufs), or None when
        `name` is an ordinary name.

    Raises
    ------
    LayerFault
        It would hide the folder itself, or its parent.
    """
    if not name.startswith(WHITEOUT_PREFIX):
        return None
    if name == OPAQUE_NAME:
        return OPAQUE
    if name.startswith(_META_PREFIX):
        return b""
    hidden = name[len(WHITEOUT_PREFIX) :]
    if hidden in (b"", b".", b".."):
        raise LayerFault("tar", f'"{shown(name)}" is not a whiteout of a file')
    return hidden


def is_whiteout(status: os.stat_result) -> bool:
    """Tell whether overlayfs takes this file for a whiteout."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


class Overlay:
    """Writes the marks in one of overlayfs's two spellings.

    Parameters
    ----------
    prefix : bytes
        `TRUSTED` or `USER`.
    """

    __slots__ = ("_opaque",)

    def __init__(self, prefix: bytes = TRUSTED) -> None:
        self._opaque = prefix + b"opaque"

    def make_opaque(self, folder_fd: int) -> None:
        """Hide what the layers below have in this folder."""
        os.setxattr(folder_fd, self._opaque, b"y")

    def make_whiteout(self, folder_fd: int, name: bytes) -> None:
        """Delete `name` of the layers below; raises FileExistsError when the layer has the name."""
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder_fd)

    @staticmethod
    def steers(attribute: bytes) -> bool:
        """Tell whether an attribute would steer overlayfs, or us: no layer may bring such a one."""
        return attribute.startswith((TRUSTED, USER, RECORDS))


class ArchiveMarks(Overlay):
    """Leaves the marks under the archive's own names, as empty files: no overlayfs reads them.

    That needs no attributes and no device, so it works on every file system. No file of a layer has
    such a name, for it would have been a mark itself. Who reads them is `merging`.
    """

    __slots__ = ()

    def make_opaque(self, folder_fd: int) -> None:
        """Hide what the layers below have in this folder."""
        _touch(folder_fd, OPAQUE_NAME)

    def make_whiteout(self, folder_fd: int, name: bytes) -> None:
        """Delete `name` of the layers below, whether or not the layer has the name itself."""
        _touch(folder_fd, WHITEOUT_PREFIX + name)


def _touch(folder_fd: int, name: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(name, flags, 0o600, dir_fd=folder_fd))
