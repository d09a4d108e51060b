"""The messages between daemon, zygote, monitor and a container's first process.

One JSON object a datagram on a SEQPACKET socket, descriptors beside it (SCM_RIGHTS)::

    daemon                 zygote
    ------                 ------
                    <--    {"type": "ready", "pid"}
    {"job", "args"} -->    forks a child, which owns the descriptors [+ fds]

    daemon                 monitor                        init (PID 1 until execve)
    ------                 -------                        ----
                           makes the cgroup, forks
                           init into a new PID
                           namespace                -->   enters the cgroup, leaves the
                                                          other namespaces, mounts
                                                    <--   {"type": "mounted"} [+ fds]
                                                          pivot_root, identity
                                                    <--   {"type": "executing"}
                                                          execve closes the socket
                    <--    {"type": "started", "pid", "started_ns", "timings"}
                                                    <--   {"type": "failed", "step", "errno", …}
                    <--    {"type": "failed", "step", "errno", "path", "message"}
                    <--    {"type": "output", "monotonic_s"}        at the first byte
    attach [+ fd]   -->    {"type": "attach", "stdin", "stdout", "stderr", "is_multiplexed",
                            "leftover", "detach_keys"}
                    <--    {"type": "detached", "exec_id"?}         by its keys
    kill            -->    {"type": "kill", "signal", "wakes"?}
                    <--    {"type": "thawed"}               it was paused, and the signal woke it
                    <--    {"type": "oom"}                  the kernel killed a process of it
    update          -->    {"type": "watch_memory"}         it has a limit of memory by now
    resize          -->    {"type": "resize", "rows", "columns", "exec_id"?}
    state           -->    {"type": "state"}
                    <--    {"type": "state", "pid", "started_ns", "exit_code", "oom_killed",
                            "execs"}
    share           -->    {"type": "share"}
                    <--    {"type": "shared"} [+ a pidfd of the first process, while it runs]
    exec [+ fds]    -->    {"type": "exec", "exec_id", "process", "terminal", "open_stdin",
                            "user", "attachments", "exit_file"?, "timeout_s"?, "tty_size"?}
                    <--    {"type": "exec_started", "exec_id", "pid"}
                    <--    {"type": "exec_failed", "exec_id", "step", "errno", "path", "message"}
                    <--    {"type": "exec_exited", "exec_id", "exit_code", "is_timed_out"}
                    <--    {"type": "exited", "exit_code", "oom_killed", "finished_ns",
                            "monotonic_s"}

The monitor answers on the socket that came with its job and on every connection to its
``monitor.sock``. ``exited`` follows the exit record on disk, never the other way round. Whoever
does not read is disconnected; the record on disk has the truth.
"""

from __future__ import annotations

import errno
import json

from dockerlab.kernel import fds as kernel_fds
from dockerlab.kernel.fds import MAX_MESSAGE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    Message = dict[str, Any]


__all__ = [
    "MAX_MESSAGE_BYTES",
    "Step",
    "StepFailure",
    "classify_failure",
    "decode",
    "encode",
    "receive",
    "send",
]

# Exit codes of `docker run`: the program is not there, may not be executed, or something before it.
_NOT_FOUND, _NOT_EXECUTABLE, _NOT_STARTED = 127, 126, 125
_NOT_FOUND_ERRNOS = frozenset({errno.ENOENT, errno.ENOTDIR})
_NOT_EXECUTABLE_ERRNOS = frozenset({errno.EACCES, errno.EISDIR, errno.ENOEXEC, errno.EPERM})


def classify_failure(step: str, error: int) -> int:
    """Return the exit code that `docker run` gives for a step that failed with this errno.

    Examples
    --------
    >>> classify_failure("exec", errno.ENOENT), classify_failure("mount", errno.ENOENT)
    (127, 125)
    """
    if step == "exec" and error in _NOT_FOUND_ERRNOS:
        return _NOT_FOUND
    if step == "exec" and error in _NOT_EXECUTABLE_ERRNOS:
        return _NOT_EXECUTABLE
    return _NOT_STARTED


class StepFailure(Exception):
    """A step of a start failed.

    Parameters
    ----------
    step : str
        ``bundle, fork, cgroup, namespaces, rootfs, mount, mask, device, terminal, hostname, sysctl,
        pivot, limits, user, cwd, capabilities, seccomp, exec, runtime`` or ``internal``.
    errno : int
        The kernel's reason; 0 when there is none.
    path : str
        What the step was about.
    """

    def __init__(self, step: str, errno: int, path: str, message: str) -> None:
        super().__init__(message)
        self.step = step
        self.errno = errno
        self.path = path
        self.message = message

    def to_message(self) -> Message:
        """Return it as the message ``failed``."""
        return {
            "type": "failed",
            "step": self.step,
            "errno": self.errno,
            "path": self.path,
            "message": self.message,
        }

    @classmethod
    def from_message(cls, message: Message) -> StepFailure:
        """Read it from the message ``failed``."""
        return cls(message["step"], message["errno"], message["path"], message["message"])


class Step:
    """Name what the block does, so that an OSError inside becomes a StepFailure.

    Parameters
    ----------
    name : str
        The step, as in StepFailure.
    path : str
        What it is about; the error's own path is used when this is empty.
    """

    __slots__ = ("_name", "_path")

    def __init__(self, name: str, path: str = "") -> None:
        self._name = name
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError):
            path = self._path or _text(error.filename)
            reason = error.strerror or str(error)
            about = f' "{path}"' if path else ""
            message = f"{self._name}{about}: {reason}"
            raise StepFailure(self._name, error.errno or 0, path, message) from error


def _text(name: object) -> str:
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    return name if isinstance(name, str) else ""


def encode(message: Message) -> bytes:
    """Return the message as the bytes of one datagram."""
    return json.dumps(message, separators=(",", ":")).encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Message:
    """Read a message; raises ValueError for anything that is not a JSON object."""
    message = json.loads(data.decode("utf-8", "surrogatepass"))
    if not isinstance(message, dict):
        raise ValueError("a message is a JSON object")  # noqa: TRY004 - a bad value, not a bad call
    return message


def send(sock: socket.socket, message: Message, fds: list[int] | tuple[int, ...] = ()) -> None:
    """Send one message with descriptors, which the caller still owns."""
    kernel_fds.send_message(sock, encode(message), fds)


def receive(sock: socket.socket) -> tuple[Message | None, list[int]]:
    """Receive one message and the descriptors that the caller then owns; None is the end."""
    data, fds = kernel_fds.recv_message(sock)
    return (decode(data), fds) if data else (None, fds)
