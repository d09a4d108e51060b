"""One more process in a running container: ``exec``.

What it does until execve is `runtime.enter`, as for the engine's own.
"""

from __future__ import annotations

import errno
import json
import os
import socket

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import protocol
from dockerlab.runtime.enter import Enter
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.standalone.commands import jail_of, send_console, write_pid
from dockerlab.runtime.standalone.foreign import normalize_process
from dockerlab.runtime.supervised import fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockerlab.oci.runtimespec import Process
    from dockerlab.runtime.standalone.store import Container, Store

__all__ = ["ExecRequest", "enter"]


class ExecRequest:
    """What ``exec`` is asked for.

    Parameters
    ----------
    process_file : str
        A file with the whole process, as in a spec; '' takes the container's own and changes it.
    args, env : sequence of str
        The command, and what is added to the environment.
    cwd, user : str
        '' leaves the container's own; the user is ``uid[:gid]``.
    """

    def __init__(
        self,
        *,
        process_file: str,
        args: Sequence[str],
        env: Sequence[str],
        cwd: str,
        user: str,
        terminal: bool,
    ) -> None:
        self._process_file = process_file
        self._args = args
        self._env = env
        self._cwd = cwd
        self._user = user
        self._terminal = terminal

    def process(self, container: Container) -> Process:
        """Return the process; raise StepFailure when it is none."""
        if self._process_file:
            with Step("bundle", self._process_file), open(self._process_file, "rb") as file:
                given: Process = json.load(file)
            normalize_process(given)
            return given
        if not self._args:
            raise StepFailure("exec", errno.EINVAL, "", "exec: no command is given")
        process = container.spec["process"]
        process["args"] = list(self._args)
        process["env"] = [*process["env"], *self._env]
        process["cwd"] = self._cwd or process["cwd"]
        process["terminal"] = self._terminal
        if self._user:
            uid, _, gid = self._user.partition(":")
            if not (uid.isdigit() and (gid or "0").isdigit()):
                message = f'user "{self._user}" is not uid[:gid]; names are not looked up here'
                raise StepFailure("user", errno.EINVAL, self._user, message)
            process["user"] = {"uid": int(uid), "gid": int(gid or "0")}
        return process


def enter(
    store: Store, container_id: str, request: ExecRequest, *, console_socket: str, pid_file: str
) -> int:
    """Start one more process; return its pid when it was executed.

    Raises
    ------
    StepFailure
        It was not; no process is left.
    """
    container = store.get(container_id)
    if container.status != "running":
        message = f'container "{container_id}" is {container.status}, not running'
        raise StepFailure("bundle", errno.ESRCH, container_id, message)
    process = request.process(container)
    if process.get("terminal", False) and not console_socket:
        raise StepFailure("terminal", errno.EINVAL, "", "a terminal needs --console-socket")
    namespaces = container.spec["linux"].get("namespaces", [])
    jail = jail_of(container, with_filter=True)
    sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pidfd = os.pidfd_open(container.pid)
    with sync, Step("fork"):
        if any(namespace["type"] == "pid" for namespace in namespaces):
            syscalls.setns(pidfd, constants.CLONE_NEWPID)
        entering = Enter(
            sync=theirs,
            init_pidfd=pidfd,
            namespaces=namespaces,
            process=process,
            user=None,
            stdio=[0, 1, 2],
            join_cgroup=jail.join,
            install_filter=jail.install_filter,
        )
        pid = fork(entering.run)
        theirs.close()
        _until_executed(sync, console_socket)
    os.close(pidfd)
    if pid_file:
        write_pid(pid_file, pid)
    return pid


def _until_executed(sync: socket.socket, console_socket: str) -> None:
    is_executing = False
    while True:
        message, fds = protocol.receive(sync)
        if message is None:
            break
        if message["type"] == "failed":
            raise StepFailure.from_message(message)
        for master in fds:
            send_console(console_socket, master)
        is_executing = message["type"] == "executing"
    if not is_executing:
        raise StepFailure("internal", 0, "", "the process ended during the start")
