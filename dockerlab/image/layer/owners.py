"""Who the files of a layer belong to: given by chown(2), or noted where the owner has no id.

In a user namespace only mapped ids exist; with a mapping of one id that is root alone. A file of
another owner then stays root's, and an extended attribute says whose it would be. Import-light.
"""

import errno
import os
import stat

from dockerlab.image.layer.whiteout import RECORDS

# Types only: the zygote loads no more than it needs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.image.layer.tar import Entry

__all__ = ["OWNER_ATTRIBUTE", "Owners", "RecordingOwners", "SoleOwner"]

# Its value: "uid:gid:mode", the mode in octal, as the archive has them.
OWNER_ATTRIBUTE = RECORDS + b"owner"

_SET_ID_BITS = stat.S_ISUID | stat.S_ISGID
# EINVAL: the id is not mapped. EPERM: what a namespace of one id answers for groups.
_UNMAPPED_ERRORS = (errno.EINVAL, errno.EPERM)
# Links and nodes take no attribute of ours, and some file systems none at all.
_NO_ATTRIBUTE_ERRORS = (errno.EPERM, errno.ENOTSUP)


class Owners:
    """Gives files to their owners; every id exists."""

    # Device nodes are left out, for nobody may make them here.
    leaves_out_nodes = False

    def __init__(self) -> None:
        self._own = (os.geteuid(), os.getegid())

    def give(self, fd: int, entry: "Entry", *, is_new: bool = True) -> int:
        """Give the open file to the owner that the entry names; return the mode to set.

        A file that `is_new` has the owner of this process.
        """
        if not is_new or (entry.uid, entry.gid) != self._own:
            os.fchown(fd, entry.uid, entry.gid)
        return entry.mode

    def give_name(self, name: bytes, folder_fd: int, entry: "Entry") -> int:
        """Do the same for a file that cannot be opened: a link, a device, a fifo."""
        if (entry.uid, entry.gid) != self._own:
            os.chown(name, entry.uid, entry.gid, dir_fd=folder_fd, follow_symlinks=False)
        return entry.mode


class RecordingOwners(Owners):
    """Gives files to their owners as far as those exist here, and notes the others."""

    leaves_out_nodes = True

    def give(self, fd: int, entry: "Entry", *, is_new: bool = True) -> int:
        """Give the open file to its owner, or note whose it would be."""
        try:
            return super().give(fd, entry, is_new=is_new)
        except OSError as exc:
            if exc.errno not in _UNMAPPED_ERRORS:
                raise
        _note(fd, entry)
        # It stays root's: a program that would run as somebody else must not run as root instead.
        return entry.mode & ~_SET_ID_BITS

    def give_name(self, name: bytes, folder_fd: int, entry: "Entry") -> int:
        """Give a link, a device or a fifo to its owner; of these nothing is noted."""
        try:
            return super().give_name(name, folder_fd, entry)
        except OSError as exc:
            if exc.errno not in _UNMAPPED_ERRORS:
                raise
        return entry.mode & ~_SET_ID_BITS


class SoleOwner(RecordingOwners):
    """Leaves every file to this process's user, who is no root, and notes what would be different.

    Their owner has to read and to remove them all later, without a root's rights: so what a mode
    takes from the owner is given back, and noted as well.
    """

    def give(self, fd: int, entry: "Entry", *, is_new: bool = True) -> int:
        """Note owner and mode where they differ; return the mode to set."""
        del is_new
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        # A program that would run as its owner would now run as this user.
        mode = entry.mode & ~_SET_ID_BITS | (stat.S_IRWXU if is_folder else stat.S_IRUSR)
        if (entry.uid, entry.gid, entry.mode) != (0, 0, mode):
            _note(fd, entry)
        if mode != entry.mode and not is_folder:
            # Set here: the applier knows only of the bits that creating a file leaves out.
            os.fchmod(fd, mode)
        return mode

    def give_name(self, name: bytes, folder_fd: int, entry: "Entry") -> int:
        """Leave a link or a fifo as it is."""
        del name, folder_fd
        return entry.mode & ~_SET_ID_BITS


def _note(fd: int, entry: "Entry") -> None:
    try:
        os.setxattr(fd, OWNER_ATTRIBUTE, b"%d:%d:%o" % (entry.uid, entry.gid, entry.mode))
    except OSError as exc:
        if exc.errno not in _NO_ATTRIBUTE_ERRORS:
            raise
