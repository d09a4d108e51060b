"""The seam between fetching and unpacking: who unpacks is not the business of who fetches.

The engine implements `Unpacker` with the zygote; the other end is `image.layer.worker`.
"""

from pathlib import Path
from typing import Protocol

import msgspec

from dockerlab.errors import BadDigest, DockerlabError, EngineFailure, InvalidArgument
from dockerlab.oci.digest import Digest

__all__ = ["UnpackJob", "Unpacked", "Unpacker", "unpacked_from_report"]


class Unpacked(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker reports. Times are seconds on the monotonic clock, sizes bytes."""

    entries: int
    size_bytes: int
    begin_s: float
    end_s: float
    archive_bytes: int = 0
    decompress_s: float = 0.0


class UnpackJob(Protocol):
    """One layer being unpacked."""

    def result(self) -> Unpacked:
        """Wait for the end of the worker and return what it reported; called exactly once.

        Raises
        ------
        BadDigest, InvalidArgument, EngineFailure
            As `unpacked_from_report`; EngineFailure too when the worker died.
        """
        ...


class Unpacker(Protocol):
    """Starts layer workers."""

    def start(self, diff_id: Digest, staging: Path, media_type: str, data_fd: int) -> UnpackJob:
        """Begin to unpack what comes out of `data_fd`, a pipe or a file, into `staging`.

        Takes over `data_fd`: it is closed when this returns or raises. The worker ends when the
        other end of the pipe is closed.
        """
        ...


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    error: str


class _Verdict(msgspec.Struct, frozen=True, kw_only=True):
    ok: bool


# The worker's kinds; a layer that is wrong is the image's fault, a full disk the host's.
_ERRORS: dict[str, type[DockerlabError]] = {
    "digest": BadDigest,
    "tar": InvalidArgument,
    "limit": InvalidArgument,
    "space": EngineFailure,
    "io": EngineFailure,
}


def unpacked_from_report(line: bytes) -> Unpacked:
    """Read the worker's report.

    Raises
    ------
    BadDigest
        The uncompressed layer does not have the diffID that the image config promises.
    InvalidArgument
        The archive is damaged, hostile, or passes a limit.
    EngineFailure
        The disk is full, or the kernel refused.
    """
    try:
        if msgspec.json.decode(line, type=_Verdict).ok:
            return msgspec.json.decode(line, type=Unpacked)
        failure = msgspec.json.decode(line, type=_Failure)
    except msgspec.MsgspecError as exc:
        raise EngineFailure(f"the layer worker's report is damaged: {exc}") from exc
    error = _ERRORS.get(failure.kind, EngineFailure)
    raise error(f"failed to register layer: {failure.error}")
