"""Unpacking through the zygote: the engine's `Unpacker` for `image.registry.pull`.

The worker reads the compressed layer from one descriptor and answers with one line on another.
"""

import os
from pathlib import Path
from typing import Any

from dockerlab.engine.spawner import Spawner
from dockerlab.errors import EngineFailure
from dockerlab.image.registry.unpacking import Unpacked, unpacked_from_report
from dockerlab.oci.digest import Digest

__all__ = ["ZygoteUnpacker"]


class ZygoteUnpacker:
    """Starts layer workers; used by several threads of pulls at once.

    Parameters
    ----------
    is_rootless : bool
        They live in a user namespace: other marks of overlayfs, and not every owner exists.
    is_plain : bool
        They have no privileges at all, and no overlayfs reads what they unpack.
    """

    def __init__(
        self, spawner: Spawner, *, is_rootless: bool = False, is_plain: bool = False
    ) -> None:
        self._spawner = spawner
        self._is_rootless = is_rootless
        self._is_plain = is_plain

    def start(self, diff_id: Digest, staging: Path, media_type: str, data_fd: int) -> "Job":
        """Have a worker fill `staging` from `data_fd`, which is closed here."""
        report, theirs = os.pipe()
        args: dict[str, Any] = {
            "staging": str(staging),
            "diff_id": diff_id,
            "media_type": media_type,
            "userxattr": self._is_rootless,
            "is_plain": self._is_plain,
        }
        try:
            self._spawner.submit("unpack", args, [data_fd, theirs])
        except EngineFailure:
            os.close(report)
            raise
        finally:
            os.close(theirs)
            os.close(data_fd)
        return Job(diff_id, report)


class Job:
    """One running worker."""

    def __init__(self, diff_id: Digest, report_fd: int) -> None:
        self._diff_id = diff_id
        self._report_fd = report_fd

    def result(self) -> Unpacked:
        """Wait for the worker's answer; see `unpacked_from_report` for what it may raise."""
        with os.fdopen(self._report_fd, "rb") as report:
            line = report.read()
        if not line:
            raise EngineFailure(
                f"the worker that unpacked {self._diff_id} was killed", "pull the image again"
            )
        return unpacked_from_report(line)
