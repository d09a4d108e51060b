"""The daemon's side of the zygote: start it, give it jobs, see it go.

Not import-light: this file runs in the daemon. The other end is `runtime.zygote`.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dockerlab.errors import EngineFailure
from dockerlab.kernel import constants
from dockerlab.kernel.fds import recv_message, send_message
from dockerlab.runtime.usernamespace import Mapping
from dockerlab.runtime.zygote import NO_NAMESPACES

__all__ = ["UserNamespace", "Zygote", "sealed_copy"]

_READY_TIMEOUT_S = 10.0
_COPY_BYTES = 1 << 20


class UserNamespace(NamedTuple):
    """Where a zygote finds its user namespace, and which ids a new one gets."""

    runtime_dir: Path
    mapping: Mapping


class Zygote:
    """A running zygote.

    Attributes
    ----------
    pid : int
    sealed : bool
        The interpreter runs from a sealed copy in memory, so that no container can reach the host's
        through ``/proc/<pid>/exe`` (CVE-2019-5736).
    """

    def __init__(
        self, process: "subprocess.Popen[bytes]", sock: socket.socket, *, sealed: bool
    ) -> None:
        self._process = process
        self._sock = sock
        self.pid = process.pid
        self.sealed = sealed

    @classmethod
    def launch(
        cls,
        script: Path,
        *,
        import_paths: Sequence[str],
        log_fd: int,
        namespace: UserNamespace | None = None,
        has_namespaces: bool = True,
    ) -> "Zygote":
        """Start the zygote that `script` describes and wait until it is ready.

        Parameters
        ----------
        script : Path
            Executed as a file, with the number of its socket, the runtime folder (or nothing, or
            `NO_NAMESPACES`) and `import_paths` as arguments.
        log_fd : int
            The standard error of the zygote and of its children.
        namespace : UserNamespace, optional
            What it enters; without one it stays in this process's.
        has_namespaces : bool
            It has at least a mount namespace of its own, for which it needs privileges.

        Raises
        ------
        EngineFailure
            It did not get ready; the log says why.
        """
        where = "" if has_namespaces else NO_NAMESPACES
        if namespace is not None:
            where = str(namespace.runtime_dir)
        arguments = [str(script), where, *import_paths]
        mapping = namespace.mapping if namespace else None
        with contextlib.suppress(OSError, EngineFailure):
            executable = sealed_copy(sys.executable)
            try:
                return cls._start(executable, arguments, log_fd, mapping)
            finally:
                os.close(executable)
        # No memfd, or one that may not be executed (vm.memfd_noexec=2): then the plain file.
        try:
            return cls._start(None, arguments, log_fd, mapping)
        except OSError as error:
            raise EngineFailure(f"cannot start the zygote: {error}") from error

    @classmethod
    def _start(
        cls,
        memory_fd: int | None,
        arguments: Sequence[str],
        log_fd: int,
        mapping: Mapping | None,
    ) -> "Zygote":
        script, *others = arguments
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = [theirs.fileno()] + ([] if memory_fd is None else [memory_fd])
        with theirs:
            process = subprocess.Popen(
                # The interpreter finds its library by its name, so that stays the real one.
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-E",
                    script,
                    str(theirs.fileno()),
                    *others,
                ],
                executable=sys.executable if memory_fd is None else f"/proc/self/fd/{memory_fd}",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log_fd,
                pass_fds=fds,
                env={},
                cwd="/",
            )
        zygote = cls(process, ours, sealed=memory_fd is not None)
        try:
            zygote._wait_until_ready(mapping)
        except (OSError, EngineFailure):
            zygote.close()
            raise
        return zygote

    def _wait_until_ready(self, mapping: Mapping | None) -> None:
        self._sock.settimeout(_READY_TIMEOUT_S)
        kind = self._receive_type()
        if kind == "unshared" and mapping is not None:
            mapping.write(self.pid)
            send_message(self._sock, b'{"type":"mapped"}')
            kind = self._receive_type()
        self._sock.settimeout(None)
        if kind != "ready":
            raise EngineFailure("the zygote ended before it was ready; the engine's log says why")

    def _receive_type(self) -> str:
        data, _ = recv_message(self._sock)
        return str(json.loads(data).get("type")) if data else ""

    def submit(self, job: str, args: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Have a child forked that runs `job`; the caller keeps its own descriptors.

        Raises
        ------
        EngineFailure
            The zygote is gone. Nothing of the job was done.
        """
        data = json.dumps({"job": job, "args": args}, separators=(",", ":")).encode()
        try:
            send_message(self._sock, data, tuple(fds))
        except OSError as error:
            raise EngineFailure(f'the zygote does not take the job "{job}": {error}') from error

    @property
    def is_alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def fileno(self) -> int:
        """Return its socket, readable when the zygote is gone."""
        return self._sock.fileno()

    def close(self) -> None:
        """End the zygote; its children go on."""
        self._sock.close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


def sealed_copy(path: str) -> int:
    """Copy a file to memory and forbid every later change; the caller closes.

    memfd_create(2), F_ADD_SEALS in fcntl(2).
    """
    flags = constants.MFD_CLOEXEC | constants.MFD_ALLOW_SEALING
    try:
        copy = os.memfd_create("dockerlab-python", flags | constants.MFD_EXEC)
    except OSError:
        copy = os.memfd_create("dockerlab-python", flags)
    try:
        with open(path, "rb") as source:
            while os.sendfile(copy, source.fileno(), None, _COPY_BYTES):
                pass
        os.fchmod(copy, 0o500)
        seals = (
            constants.F_SEAL_SEAL
            | constants.F_SEAL_SHRINK
            | constants.F_SEAL_GROW
            | constants.F_SEAL_WRITE
        )
        fcntl.fcntl(copy, constants.F_ADD_SEALS, seals)
    except OSError:
        os.close(copy)
        raise
    return copy
