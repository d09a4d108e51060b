"""An additional process of a running container, from the fork to execve (docker exec).

It is forked by the monitor, so it is already in the container's pid namespace and a child that the
monitor can wait for. Limits, privileges and filter are those of the container (`runtime.workload`).
"""

from __future__ import annotations

import os

from dockerlab.kernel import syscalls
from dockerlab.runtime import namespaces as joining
from dockerlab.runtime import protocol, terminal, workload
from dockerlab.runtime.init import connect_stdio, report_failure
from dockerlab.runtime.protocol import Step
from dockerlab.runtime.zygote import block_imports

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from dockerlab.oci.runtimespec import Namespace, Process

__all__ = ["Enter"]


class Enter:
    """What an exec's process needs, gathered by the monitor before the fork.

    Parameters
    ----------
    init_pidfd : int
        The container's first process.
    namespaces : list
        Those of the container's spec.
    join_cgroup : callable
        Puts this process into the container's cgroup.
    user : str or None
        Docker's ``user[:group]``; None takes the ids of `process`.
    """

    def __init__(  # noqa: PLR0913 - the parts of one process, named at the only call
        self,
        *,
        sync: socket.socket,
        init_pidfd: int,
        namespaces: list[Namespace],
        process: Process,
        user: str | None,
        stdio: list[int],
        join_cgroup: Callable[[], None],
        install_filter: Callable[[], None],
    ) -> None:
        self._sync = sync
        self._init_pidfd = init_pidfd
        self._namespaces = namespaces
        self._process = process
        self._user = user
        self._stdio = stdio
        self._join_cgroup = join_cgroup
        self._install_filter = install_filter
        self._slave = -1

    def run(self) -> None:
        """Live until execve; a failure is reported and ends the process."""
        report_failure(self._sync, self._start)

    def _start(self) -> None:
        # As: uid 0 with full capabilities, already in the pid namespace. All else: the host's.
        syscalls.set_process_name("dl-exec")
        # Before we are visible inside: the container's root may have CAP_SYS_PTRACE.
        syscalls.set_dumpable(dumpable=False)
        block_imports()
        os.setsid()
        with Step("cgroup"):
            self._join_cgroup()
        with Step("namespaces"):
            joining.join(self._init_pidfd, self._namespaces)
        # As: before. Root and working directory: the container's.
        if self._process.get("terminal", False):
            self._open_terminal()
        identity = workload.find_identity(self._process, self._user)
        workload.enter_working_directory(self._process["cwd"])
        connect_stdio(self._stdio, self._slave, identity)
        protocol.send(self._sync, {"type": "executing"})
        workload.become(self._process, identity, self._install_filter)
        workload.execute(self._process, identity, self._sync.fileno())

    def _open_terminal(self) -> None:
        with Step("terminal"):
            root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            master, self._slave = terminal.open_pair(root_fd)
            protocol.send(self._sync, {"type": "terminal"}, [master])
            os.close(master)
            os.close(root_fd)
