"""Which log a container's output goes to: the monitor's argument, made into something to write."""

from __future__ import annotations

from dockerlab.runtime.jsonlog import JsonFileLog
from dockerlab.runtime.locallog import LocalLog
from dockerlab.runtime.logfile import LogFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerlab.runtime.logfile import Later

    ContainerLog = JsonFileLog | LocalLog

__all__ = ["open_log"]


def open_log(path: str, config: dict[str, Any], later: Later | None = None) -> ContainerLog | None:
    """Return the log at `path`; None without one.

    Parameters
    ----------
    config : dict
        ``driver`` (json-file or local), ``max_bytes``, ``max_files``, ``compress``, ``attributes``;
        what is missing is a json-file that is never rotated.
    later : callable, optional
        As for `LogFile`.
    """
    if not path:
        return None
    file = LogFile(
        path,
        max_bytes=config.get("max_bytes", 0),
        max_files=config.get("max_files", 1),
        compress=config.get("compress", False),
        later=later,
    )
    if config.get("driver") == "local":
        return LocalLog(file)
    return JsonFileLog(file, config.get("attributes"))
