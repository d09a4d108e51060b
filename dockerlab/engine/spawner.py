"""The zygote as the engine uses it: started when needed, started again when it was killed."""

import socket
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any

import dockerlab
from dockerlab.engine import jobs
from dockerlab.errors import EngineFailure
from dockerlab.runtime.launch import Zygote

__all__ = ["Spawner"]

# The decompressors live in site-packages, which the isolated interpreter does not look into.
_DECOMPRESSORS = ("isal", "zstandard")


class Spawner:
    """Submits jobs to the zygote of this engine.

    Parameters
    ----------
    log_fd : int
        Where the zygote and its children write what they have to say of themselves.
    """

    def __init__(self, log_fd: int) -> None:
        self._log_fd = log_fd
        self._zygote: Zygote | None = None

    @property
    def is_sealed(self) -> bool:
        """Tell whether the interpreter runs from a sealed copy (CVE-2019-5736)."""
        return self._running().sealed

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._running().pid

    def submit(self, job: str, args: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Have the zygote fork `job`; it answers through the descriptors that it is given.

        Raises
        ------
        EngineFailure
            The zygote cannot be started.
        """
        try:
            self._running().submit(job, args, fds)
        except EngineFailure:
            # It was killed since the last job; nothing of this one was done, so ask a new one.
            self.close()
            self._running().submit(job, args, fds)

    def close(self) -> None:
        """End the zygote; the monitors go on."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def start(self) -> None:
        """Start it now, so that the first job does not wait."""
        self._running()

    def _running(self) -> Zygote:
        if self._zygote is not None and not self._zygote.is_alive:
            self.close()
        if self._zygote is None:
            self._zygote = Zygote.launch(
                Path(jobs.__file__), import_paths=_import_paths(), log_fd=self._log_fd
            )
        return self._zygote


def socketpair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection that keeps the borders of messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _import_paths() -> list[str]:
    package = Path(dockerlab.__file__).parent.parent
    specs = [util.find_spec(name) for name in _DECOMPRESSORS]
    found = {str(Path(s.origin).parent.parent) for s in specs if s is not None and s.origin}
    found.discard(str(package))
    return [str(package), *sorted(found)]
