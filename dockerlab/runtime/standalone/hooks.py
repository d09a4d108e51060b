"""Hooks: programs that a spec has run at certain points of a container's life.

config.md#posix-platform-hooks. Each gets the container's state on its standard input; one that
fails before the program runs ends the container's start.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal

from dockerlab.kernel import constants
from dockerlab.runtime.protocol import StepFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from dockerlab.oci.runtimespec import Hook

__all__ = ["run_hooks"]

_EXEC_FAILED = 127


def run_hooks(hooks: Sequence[Hook], state: dict[str, Any]) -> None:
    """Run hooks in their order; the paths are those of this process's root.

    Raises
    ------
    StepFailure
        One ended with another status than 0, or took longer than its ``timeout`` (seconds).
    """
    for hook in hooks:
        status = _run(hook, json.dumps(state).encode())
        if status != 0:
            reason = "took too long" if status == -signal.SIGKILL else f"ended with status {status}"
            message = f'hook "{hook["path"]}" {reason}; its own output says why'
            raise StepFailure("hook", errno.ECANCELED, hook["path"], message)


def _run(hook: Hook, state: bytes) -> int:
    # A file rather than a pipe: a hook that does not read it holds nobody up.
    memory = os.memfd_create("state", constants.MFD_CLOEXEC)
    os.write(memory, state)
    os.lseek(memory, 0, os.SEEK_SET)
    pid = os.fork()
    if pid == 0:
        _execute(hook, memory)
    os.close(memory)
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    timeout_s = hook.get("timeout")
    if not poll.poll(None if timeout_s is None else timeout_s * 1000):
        os.kill(pid, signal.SIGKILL)
    os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _execute(hook: Hook, memory: int) -> NoReturn:
    try:
        os.dup2(memory, 0)
        env = dict(entry.partition("=")[::2] for entry in hook.get("env") or [])
        os.execve(hook["path"], hook.get("args") or [hook["path"]], env)  # noqa: S606 - as given
    except OSError as error:
        os.write(2, f'hook "{hook["path"]}": {error.strerror}\n'.encode())
    finally:
        os._exit(_EXEC_FAILED)
