"""The zygote as the engine uses it: started when needed, started again when it was killed."""

import os
import socket
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any

import dockerlab
from dockerlab.engine import jobs
from dockerlab.errors import EngineFailure
from dockerlab.runtime.launch import UserNamespace, Zygote

__all__ = ["Spawner"]

# The decompressors live in site-packages, which the isolated interpreter does not look into.
_DECOMPRESSORS = ("isal", "zstandard")


class Spawner:
    """Submits jobs to the zygote of this engine.

    Parameters
    ----------
    log_fd : int
        Where the zygote and its children write what they have to say of themselves.
    namespace : UserNamespace, optional
        The user namespace that they live in, without root.
    has_namespaces : bool
        They have at least a mount namespace of their own.
    """

    def __init__(
        self, log_fd: int, namespace: UserNamespace | None = None, *, has_namespaces: bool = True
    ) -> None:
        self._log_fd = log_fd
        self._namespace = namespace
        self._has_namespaces = has_namespaces
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

    def remove_tree(self, path: str) -> None:
        """Remove a tree and wait for it.

        Raises
        ------
        EngineFailure
            Something of it could not be removed; the engine's log says why.
        """
        self._ask("remove_tree", {"root": str(Path(path).parent), "path": path})
        if os.path.lexists(path):
            raise EngineFailure(f'cannot remove "{path}"', "the engine's log says why")

    def merge(self, layers: Sequence[str], target: str) -> str:
        """Copy layers, the lowest first, into a folder of their own; return why not, or ''."""
        answer = self._ask("merge", {"layers": list(layers), "target": target}).decode()
        return "" if answer == "ok" else answer or "the copy was interrupted"

    def measure_tree(self, path: str, since: str = "") -> int:
        """Return the sum of the apparent sizes of a tree's files, in bytes.

        With `since`, the path of a file, only those that were written after it count.
        """
        answer = self._ask("measure_tree", {"path": path, "since": since})
        if not answer:
            raise EngineFailure(f'cannot measure "{path}"', "the engine's log says why")
        return int(answer)

    def _ask(self, job: str, args: dict[str, Any]) -> bytes:
        """Submit a job and return what it writes until its end."""
        answer, theirs = os.pipe()
        with os.fdopen(answer, "rb") as pipe:
            try:
                self.submit(job, args, [theirs])
            finally:
                os.close(theirs)
            return pipe.read()

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
                Path(jobs.__file__),
                import_paths=_import_paths(),
                log_fd=self._log_fd,
                namespace=self._namespace,
                has_namespaces=self._has_namespaces,
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
