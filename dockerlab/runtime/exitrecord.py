"""The exit record of a process: a small JSON file that appears whole or not at all."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["write_exit_record", "write_whole"]

_MODE = 0o600


def write_exit_record(path: str, record: dict[str, Any]) -> Callable[[], None]:
    """Write the record under its name, and return what makes it survive a power cut.

    Notes
    -----
    Atomic: rename(2) of a complete file. It survives every process's death at once. The flush to
    the disk is apart, because it may take longer than the container ran, and whoever waits for
    the container should not wait for that.
    """
    fd = write_whole(path, record)

    def settle() -> None:
        """Flush the record to the disk."""
        os.fsync(fd)
        os.close(fd)

    return settle


def write_whole(path: str, record: dict[str, Any]) -> int:
    """Write the record under its name; return the open file, which the caller closes."""
    temporary = f"{path}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    os.write(fd, json.dumps(record).encode())
    os.rename(temporary, path)
    return fd
