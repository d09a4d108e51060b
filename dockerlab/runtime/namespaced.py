"""How programs are launched where namespaces can be made: by init and enter, in cgroup and filter.

The counterpart for hosts without namespaces is `runtime.traced`; the monitor has one of the two and
does not ask which.
"""

from __future__ import annotations

import os
import socket

from dockerlab.runtime import namespaces, seccomp
from dockerlab.runtime.enter import Enter
from dockerlab.runtime.init import Init
from dockerlab.runtime.protocol import Step
from dockerlab.runtime.supervised import Supervised, fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from dockerlab.oci.runtimespec import Process, Spec
    from dockerlab.runtime.cgroups.tree import CgroupTree
    from dockerlab.runtime.loop import Loop
    from dockerlab.runtime.stdio import Stdio
    from dockerlab.runtime.supervised import Observer

    class Launcher(Protocol):
        """Forks the processes of one container, for its monitor."""

        def launch_first(self, stdio: Stdio, streams: list[int], observer: Observer) -> Supervised:
            """Start the container's first process.

            Parameters
            ----------
            streams : list of int
                Descriptors for 0, 1 and 2; -1 is /dev/null, and with a terminal all are ignored.
            """

        def launch_additional(
            self, request: Additional, stdio: Stdio, observer: Observer
        ) -> Supervised:
            """Start one more process in the container."""

        def started(self) -> None:
            """Note that the first program runs."""

        def close(self) -> None:
            """Wait for what has to end with the container."""


__all__ = ["Additional", "Namespaced"]


class Additional:
    """What an exec asks for.

    Parameters
    ----------
    user : str or None
        Docker's ``user[:group]``; None takes the ids of `process`.
    streams : list of int
        Descriptors for 0, 1 and 2; -1 is /dev/null, and with a terminal all are ignored.
    init : Supervised
        The container's first process.
    """

    __slots__ = ("init", "process", "streams", "user")

    def __init__(
        self, process: Process, user: str | None, streams: list[int], init: Supervised
    ) -> None:
        self.process = process
        self.user = user
        self.streams = streams
        self.init = init


class Namespaced:
    """Launches into namespaces.

    Parameters
    ----------
    args : dict
        The monitor's.
    tree : CgroupTree or None
        Where the container's cgroup is; None when it has none.
    program : bytes or None
        The seccomp filter.
    donors : dict
        pidfds of the containers whose namespaces this one shares, by the kind of namespace; closed
        when the first process has them.
    """

    def __init__(  # noqa: PLR0913 - what its processes get, named at the only call
        self,
        loop: Loop,
        args: dict[str, Any],
        spec: Spec,
        *,
        tree: CgroupTree | None,
        cgroup_path: str,
        program: bytes | None,
        donors: dict[str, int],
    ) -> None:
        self._loop = loop
        self._args = args
        self._spec = spec
        self._namespaces = spec["linux"].get("namespaces", [])
        self._tree = tree
        self._cgroup_path = cgroup_path
        self._program = program
        self._donors = donors

    def launch_first(self, stdio: Stdio, streams: list[int], observer: Observer) -> Supervised:
        """Fork init, PID 1 of a new pid namespace."""
        sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        init = Init(
            sync=theirs,
            spec=self._spec,
            overlay=self._args["rootfs"],
            mount_point=os.path.join(self._args["bundle"], self._spec["root"]["path"]),
            stdio=streams,
            join_cgroup=self._join_cgroup,
            cgroup_folders=self._tree.visible(self._cgroup_path) if self._tree else [],
            install_filter=self._install_filter,
            donors=self._donors,
        )
        with Step("fork"):
            namespaces.leave_pid(self._namespaces, self._donors)
            pid = fork(init.run)
        theirs.close()
        for donor in self._donors.values():
            os.close(donor)
        return Supervised(self._loop, pid, sync, stdio, observer)

    def launch_additional(
        self, request: Additional, stdio: Stdio, observer: Observer
    ) -> Supervised:
        """Fork what joins init's namespaces."""
        sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        enter = Enter(
            sync=theirs,
            init_pidfd=request.init.pidfd,
            namespaces=self._namespaces,
            process=request.process,
            user=request.user,
            stdio=request.streams,
            join_cgroup=self._join_cgroup,
            install_filter=self._install_filter,
        )
        pid = fork(enter.run)
        theirs.close()
        return Supervised(self._loop, pid, sync, stdio, observer)

    def started(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: with PID 1 the kernel ends all others."""

    def _join_cgroup(self) -> None:
        """Put the process that calls, a forked one, into the cgroup."""
        if self._tree is not None:
            self._tree.join(self._cgroup_path, 0)

    def _install_filter(self) -> None:
        if self._program is not None:
            with Step("seccomp"):
                seccomp.install(self._program)
