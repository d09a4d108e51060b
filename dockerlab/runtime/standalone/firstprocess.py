"""The first process of a container of somebody else's, from the fork to execve.

As `runtime.init`, with what the command line adds: the root is a folder, there are hooks, and
between ``create`` and ``start`` it waits at a socket. Nothing is imported here that is not loaded
before the fork.
"""

from __future__ import annotations

import os

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import mounts, namespaces, protocol, rootfs, terminal, workload
from dockerlab.runtime.init import connect_stdio, enter_root, report_failure
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.standalone.hooks import run_hooks
from dockerlab.runtime.zygote import block_imports

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from dockerlab.oci.runtimespec import Spec

__all__ = ["FirstProcess"]

_PROPAGATIONS = {
    "private": constants.MS_PRIVATE,
    "slave": constants.MS_SLAVE,
    "shared": constants.MS_SHARED,
    "unbindable": constants.MS_UNBINDABLE,
}


class FirstProcess:
    """What the first process needs, gathered before the fork.

    Parameters
    ----------
    sync : socket
        To who creates the container; closed when that is done.
    listener : socket
        Who connects to it starts the program.
    root : str
        The folder that becomes the root.
    state : dict
        What hooks are told.
    preserved : int
        How many descriptors from 3 on the program inherits.
    """

    def __init__(  # noqa: PLR0913 - the parts of one process, named at the only call
        self,
        *,
        sync: socket.socket,
        listener: socket.socket,
        spec: Spec,
        root: str,
        state: dict[str, Any],
        join_cgroup: Callable[[], None],
        cgroup_folders: list[list[str]],
        install_filter: Callable[[], None],
        has_borrowed_devices: bool,
        preserved: int,
    ) -> None:
        self._sync = sync
        self._listener = listener
        self._spec = spec
        self._root = root
        self._state = state
        self._join_cgroup = join_cgroup
        self._cgroup_folders = cgroup_folders
        self._install_filter = install_filter
        self._has_borrowed_devices = has_borrowed_devices
        self._preserved = preserved
        self._process = spec["process"]
        self._hooks = spec.get("hooks", {})
        self._slave = -1
        self._identity: workload.Identity | None = None

    def run(self) -> None:
        """Live until execve; a failure is reported and ends the process."""
        report_failure(self._sync, self._create)
        if self._identity is not None:
            self._wait_and_start(self._identity)

    def _create(self) -> None:
        # As: uid 0 of this user namespace, in the new pid namespace. All else: the host's.
        syscalls.set_process_name("dl-init")
        # Nobody in the container may trace us or open our /proc files before the execve.
        syscalls.set_dumpable(dumpable=False)
        block_imports()
        os.setsid()
        os.umask(0)
        self._adjust_oom_score()
        with Step("cgroup"):
            self._join_cgroup()
        with Step("namespaces"):
            namespaces.leave(self._spec["linux"].get("namespaces", []), {})
            syscalls.mount("none", "/", "", constants.MS_REC | constants.MS_SLAVE, "")
        # As: before, but alone in its namespaces. Root: still the host's.
        self._set_hostname()
        with Step("rootfs", self._root):
            root_fd = rootfs.bind_folder(syscalls, self._root)
        for operation in self._plan():
            with Step(operation.step, operation.path):
                operation.perform(syscalls, root_fd)
        self._tell_mounted(root_fd)
        # The paths of these are the host's, the namespaces are the container's.
        run_hooks(self._hooks.get("createContainer", []), self._state)
        self._enter_root(root_fd)
        # As: before. Root: the container's.
        os.umask(0o022)
        identity = workload.find_identity(self._process, None)
        workload.enter_working_directory(self._process["cwd"])
        connect_stdio([0, 1, 2], self._slave, identity)
        workload.check_program(self._process)
        protocol.send(self._sync, {"type": "created"})
        self._sync.close()
        self._identity = identity

    def _wait_and_start(self, identity: workload.Identity) -> None:
        connection, _ = self._listener.accept()
        self._listener.close()

        def start() -> None:
            """Become the program."""
            run_hooks(self._hooks.get("startContainer", []), self._state)
            workload.become(self._process, identity, self._install_filter)
            # As: the container's user, with its capabilities and its filter.
            workload.execute(
                self._process, identity, connection.fileno(), preserved=self._preserved
            )

        report_failure(connection, start)

    def _adjust_oom_score(self) -> None:
        if "oomScoreAdj" in self._process:
            with Step("limits", "/proc/self/oom_score_adj"):
                fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
                os.write(fd, str(self._process["oomScoreAdj"]).encode())
                os.close(fd)

    def _set_hostname(self) -> None:
        types = {namespace["type"] for namespace in self._spec["linux"].get("namespaces", [])}
        # Without an own uts namespace this would rename the host.
        if self._spec.get("hostname") and "uts" in types:
            with Step("hostname"):
                syscalls.sethostname(self._spec["hostname"])

    def _plan(self) -> list[mounts.Operation]:
        plan = mounts.plan_mounts(self._spec, has_borrowed_devices=self._has_borrowed_devices)
        return [*plan, *mounts.plan_cgroups(self._spec, self._cgroup_folders)]

    def _tell_mounted(self, root_fd: int) -> None:
        """Tell that the root is ready, with the terminal's other side; wait for the hooks there."""
        fds: list[int] = []
        if self._process.get("terminal", False):
            with Step("terminal"):
                master, self._slave = terminal.open_pair(root_fd)
                terminal.cover_console(root_fd, self._slave)
            fds.append(master)
        protocol.send(self._sync, {"type": "mounted"}, fds)
        for fd in fds:
            os.close(fd)
        message, _ = protocol.receive(self._sync)
        if message is None:
            raise StepFailure("internal", 0, "", "the command ended while it made the container")
        self._state["pid"] = message["pid"]

    def _enter_root(self, root_fd: int) -> None:
        enter_root(self._spec, root_fd)
        wanted = self._spec["linux"].get("rootfsPropagation", "")
        with Step("rootfs", wanted):
            kind = _PROPAGATIONS.get(wanted.removeprefix("r"), 0)
            if kind:
                flag = constants.MS_REC if wanted.startswith("r") else 0
                syscalls.mount("none", "/", "", kind | flag, "")
