"""The layer worker: a forked child of the zygote that unpacks one layer and reports one line.

It reads the compressed layer from a pipe, so it needs no network; it changes its root to the
layer's folder where it may, so it needs no other files; and from then on it imports nothing, so
nothing inside the folder can become code. Where it may not, `folders` alone keeps it inside. Not
here: fetching (`registry.pull`) and making the result visible (`layers`).

As the process that runs `unpack`: alone, single-threaded, forked from the zygote, about to exit.
"""

import errno
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence

from dockerlab.image.layer.apply import Applier
from dockerlab.image.layer.compression import Input, Reader, open_reader
from dockerlab.image.layer.fault import LayerFault, Limits
from dockerlab.image.layer.owners import Owners, RecordingOwners, SoleOwner
from dockerlab.image.layer.source import Source
from dockerlab.image.layer.tar import TarReader
from dockerlab.image.layer.whiteout import TRUSTED, USER, ArchiveMarks, Overlay

# `typing` costs the zygote seven milliseconds, and type checkers know this name without it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["unpack"]

_MAX_FD = 1 << 16
_MAX_ERROR_CHARACTERS = 1000
_DATA_LIMIT_BYTES = 1 << 30


class _ImportBlock:
    """The only finder after the chroot: no module is ever loaded from a layer."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Refuse every module."""
        del path, target
        raise ImportError(f'cannot import "{name}" inside a layer')


def unpack(
    args: "dict[str, Any]", fds: Sequence[int], *, confine: Callable[[], None] | None = None
) -> None:
    """Unpack one layer and report.

    Parameters
    ----------
    args : dict
        ``staging``: the folder, empty, on the host; ``diff_id``: what the uncompressed archive's
        digest must be; ``media_type``: kept for the report; optional ``limits``: `Limits` by name;
        optional ``userxattr``: this process is in a user namespace, so spell whiteouts for an
        overlayfs there, and record what it cannot do; optional ``is_plain``: it has no privilege at
        all, so all files are its user's, and no overlayfs will read them.
    fds : sequence of int
        The compressed layer to read, and where the report goes. Both are closed at the end.
    confine : callable
        Called after the chroot: what more the process can give up (capabilities, a seccomp filter).

    Notes ----- The report is one JSON line: ``{"ok": true, "entries", "size_bytes",
    "archive_bytes", "begin_s", "end_s", "decompress_s"}`` (seconds on the monotonic clock) or
    ``{"ok": false, "kind", "error"}`` with a kind of `LayerFault`. The folder is half written
    then, and its owner removes it. After the return the process must exit: its root is the layer.
    """
    data_fd, report_fd = fds
    try:
        report = _unpack(args, data_fd, report_fd, confine)
    except LayerFault as fault:
        report = _failure(fault.kind, fault.message)
    except MemoryError:
        report = _failure("limit", "the layer needs more memory than the worker may have")
    except OSError as exc:
        is_full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        report = _failure("space" if is_full else "io", exc.strerror or "the kernel refused")
    _report(report_fd, report)
    os.close(data_fd)
    os.close(report_fd)


def _unpack(
    args: "dict[str, Any]", data_fd: int, report_fd: int, confine: Callable[[], None] | None
) -> "dict[str, Any]":
    begin_s = time.monotonic()
    limits = Limits(**args.get("limits") or {})
    overlay, owners = _kinds(args)
    _close_others(data_fd, report_fd)
    root_fd = _enter(args["staging"], limits, may_stay_outside=bool(args.get("is_plain")))
    if confine is not None:
        confine()
    data = Input(data_fd)
    reader = _Measured(open_reader(data), data, limits, _free_bytes(root_fd))
    source = Source(reader.read, limits.total_bytes)
    applier = Applier(root_fd, limits, overlay, owners)
    applier.apply(TarReader(source, limits))
    source.drain()
    if source.digest() != args["diff_id"]:
        raise LayerFault("digest", f"its contents are {source.digest()}, not {args['diff_id']}")
    return {
        "ok": True,
        "entries": applier.entries,
        "size_bytes": applier.size_bytes,
        "archive_bytes": source.total_bytes,
        "begin_s": begin_s,
        "end_s": time.monotonic(),
        "decompress_s": reader.total_s,
    }


def _kinds(args: "dict[str, Any]") -> tuple[Overlay, Owners]:
    if args.get("is_plain"):
        return ArchiveMarks(), SoleOwner()
    if args.get("userxattr"):
        return Overlay(USER), RecordingOwners()
    return Overlay(TRUSTED), Owners()


def _close_others(*kept: int) -> None:
    """Close what was inherited: a descriptor of the host would be a way out of the layer."""
    begin = 3
    for fd in sorted(kept):
        os.closerange(begin, fd)
        begin = fd + 1
    os.closerange(begin, _MAX_FD)


def _enter(staging: str, limits: Limits, *, may_stay_outside: bool) -> int:
    """Make the layer's folder the root, and give up what the rest does not need."""
    # As: a child of the zygote, all its privileges. Root: the host's.
    root_fd = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(root_fd)
    try:
        os.chroot(".")
    except PermissionError:
        if not may_stay_outside:
            raise
    # Root: the layer, mostly. Nothing can be loaded from here on; codecs that Python loads late
    # count too.
    sys.meta_path[:] = [_ImportBlock]
    sys.path.clear()
    os.umask(0)
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_DATA, _DATA_LIMIT_BYTES),
        (resource.RLIMIT_FSIZE, limits.total_bytes),
    ):
        hard = resource.getrlimit(what)[1]
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (value, value))
    return root_fd


def _free_bytes(root_fd: int) -> int:
    """Return what the disk has left for this process."""
    status = os.fstatvfs(root_fd)
    return status.f_bavail * status.f_frsize


class _Measured:
    """A reader that ends what grows beyond reason, and knows how long it took.

    So a table can tell reading from writing, and a bomb is no use: neither one that would fill the
    disk, for that is known before it has, nor one of nothing but zeros.
    """

    def __init__(self, reader: Reader, data: Input, limits: Limits, free_bytes: int) -> None:
        self._reader = reader
        self._data = data
        self._limits = limits
        self._free_bytes = free_bytes
        self._total_bytes = 0
        self.total_s = 0.0

    def read(self) -> bytes:
        """Read a piece; raises LayerFault for a bomb."""
        begin = time.monotonic()
        piece = self._reader()
        self.total_s += time.monotonic() - begin
        self._total_bytes += len(piece)
        total, limits = self._total_bytes, self._limits
        if total > self._free_bytes:
            raise LayerFault(
                "space", f"No space left on device: the archive is larger than {self._free_bytes}"
                " bytes",
            )  # fmt: skip
        if total > max(limits.free_ratio_bytes, limits.ratio * self._data.total_bytes):
            raise LayerFault(
                "limit", f"the archive is more than {limits.ratio} times larger than its"
                " compressed form",
            )  # fmt: skip
        return piece


def _failure(kind: str, error: str) -> "dict[str, Any]":
    return {"ok": False, "kind": kind, "error": error[:_MAX_ERROR_CHARACTERS]}


def _report(report_fd: int, report: "dict[str, Any]") -> None:
    try:
        os.write(report_fd, json.dumps(report).encode() + b"\n")
    except BrokenPipeError:
        # Nobody waits for the answer any more: the pull was cancelled or its engine is gone.
        return
