"""From an archive to files of a container, in a child of the zygote whose root is the container's.

What layers are unpacked with does the work (`image.layer.apply`): it goes by descriptors, follows
links inside the root only, and takes nothing for granted. Different is what an archive of `docker
cp` means: its names are below a folder, a whiteout is a file like others, and a folder that is
there keeps what is in it. Import-light.
"""

from __future__ import annotations

import os
import stat

from dockerlab.engine.placing import Below, apply
from dockerlab.image.layer.compression import Reader, open_reader
from dockerlab.image.layer.fault import LayerFault, Limits, shown
from dockerlab.image.layer.source import Source
from dockerlab.image.layer.tar import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.image.layer.tar import Entry

__all__ = ["unpack_into"]

# bzip2 and xz have no reader here, and no program of the container or the host is run for them.
_FOREIGN = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_MAX_ARCHIVE_BYTES = 1 << 42


def unpack_into(
    data_fd: int,
    target: bytes,
    *,
    keeps_kinds: bool,
    owner: tuple[int, int] | None,
    is_rootless: bool,
) -> None:
    """Unpack what comes from `data_fd` below `target`, a path from the root without links.

    Parameters
    ----------
    keeps_kinds : bool
        A folder is not replaced by a file, nor a file by a folder.
    owner : tuple of int, optional
        Uid and gid of everything; otherwise the archive says it.

    Raises
    ------
    LayerFault
        The archive is damaged, leads out of the folder, or is compressed in a way not known here.
    """
    limits = Limits(total_bytes=_MAX_ARCHIVE_BYTES)
    source = Source(_known(open_reader(data_fd)), limits.total_bytes)
    root_fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        reader = Below(source, limits, target, owner)
        if keeps_kinds:
            reader = _KeepingKinds(root_fd, source, limits, target, owner)
        apply(root_fd, reader, source, limits, is_rootless=is_rootless)
    finally:
        os.close(root_fd)


def _known(read: Reader) -> Reader:
    """Return the reader, whose first piece must not be of a compression without a reader."""
    first = read()
    for magic, name in _FOREIGN.items():
        if first.startswith(magic):
            raise LayerFault(
                "tar",
                f"the archive is compressed with {name}, which is not read here; send it plain, or"
                " compressed with gzip or zstd",
            )
    pieces = iter((first,))
    return lambda: next(pieces, b"") or read()


class _KeepingKinds(Below):
    """Refuses what would make a folder of a file, or conversely (noOverwriteDirNonDir)."""

    def __init__(
        self,
        root_fd: int,
        source: Source,
        limits: Limits,
        target: bytes,
        owner: tuple[int, int] | None,
    ) -> None:
        super().__init__(source, limits, target, owner)
        self._root_fd = root_fd

    def settle(self, entry: Entry) -> None:
        """Raise LayerFault when the kinds differ."""
        try:
            status = os.stat(entry.path, dir_fd=self._root_fd, follow_symlinks=False)
        except OSError:
            return
        is_folder = stat.S_ISDIR(status.st_mode)
        if is_folder and entry.kind != DIRECTORY:
            raise LayerFault("tar", f'cannot overwrite directory "/{shown(entry.path)}" with'
                             f' non-directory')  # fmt: skip
        if not is_folder and entry.kind == DIRECTORY:
            raise LayerFault("tar", f'cannot overwrite non-directory "/{shown(entry.path)}" with'
                             f' directory')  # fmt: skip
