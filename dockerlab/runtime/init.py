"""A container's first process, from the fork to execve: PID 1 of its pid namespace.

It prepares everything by itself, in its own mount namespace, and tells the monitor over a socket
how far it is (`runtime.protocol`). Nothing is imported here that is not loaded before the fork.
"""

from __future__ import annotations

import os
import stat

from dockerlab.kernel import commandline, constants, syscalls
from dockerlab.runtime import mounts, namespaces, protocol, reaper, rootfs, terminal, workload
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.zygote import block_imports, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from dockerlab.oci.runtimespec import Spec
    from dockerlab.runtime.rootfs import Overlay

__all__ = ["USER_ANNOTATION", "Init", "connect_stdio", "enter_root", "report_failure"]

# Docker's `user[:group]`, to be looked up in the container's own files.
USER_ANNOTATION = "dockerlab.user"
# Stay as PID 1, over the program.
INIT_ANNOTATION = "dockerlab.init"
# Comes with the ipc namespace: memory is shared there by name too.
_SHM = "/dev/shm"  # noqa: S108 - a place in the container


class Init:
    """What the first process needs, gathered by the monitor before the fork.

    Parameters
    ----------
    mount_point : str
        An empty directory of the host; the overlay is there in our own mount namespace only.
    stdio : list of int
        Descriptors for 0, 1 and 2; -1 is /dev/null, and all are ignored with a terminal.
    join_cgroup : callable
        Puts this process into the container's cgroup.
    cgroup_folders : list
        Name and folder of each hierarchy that the container sees (`CgroupTree.visible`).
    install_filter : callable
        Installs the seccomp filter; does nothing without one.
    donors : dict of str to int
        Kind of namespace -> pidfd of the process of another container that shares its own.
    """

    def __init__(  # noqa: PLR0913 - the parts of one process, named at the only call
        self,
        *,
        sync: socket.socket,
        spec: Spec,
        overlay: Overlay,
        mount_point: str,
        stdio: list[int],
        join_cgroup: Callable[[], None],
        cgroup_folders: list[list[str]],
        install_filter: Callable[[], None],
        donors: dict[str, int],
    ) -> None:
        self._donors = donors
        self._join_cgroup = join_cgroup
        self._cgroup_folders = cgroup_folders
        self._sync = sync
        self._spec = spec
        self._overlay = overlay
        self._mount_point = mount_point
        self._stdio = stdio
        self._install_filter = install_filter
        self._process = spec["process"]
        self._is_terminal = self._process.get("terminal", False)
        self._slave = -1

    def run(self) -> None:
        """Live until execve; a failure is reported and ends the process."""
        report_failure(self._sync, self._start)

    def _start(self) -> None:
        # As: PID 1 of a new pid namespace, uid 0, full capabilities. Root and all else: the host's.
        syscalls.set_process_name("dl-init")
        # Before the next step, which makes the file root's.
        self._adjust_oom_score()
        # Nobody in the container may trace us or open our /proc files before the execve.
        syscalls.set_dumpable(dumpable=False)
        block_imports()
        os.setsid()
        os.umask(0)
        with Step("cgroup"):
            # By itself and not by the monitor: the kernel then takes no lock of all processes.
            self._join_cgroup()
        annotations = self._spec.get("annotations", {})
        stays = INIT_ANNOTATION in annotations
        span = commandline.find_span() if stays else (0, 0)
        provided = {}
        with Step("namespaces"):
            if "ipc" in self._donors:
                provided[_SHM] = namespaces.borrow_mount(
                    self._donors["ipc"], _SHM, constants.TMPFS_MAGIC
                )
            namespaces.leave(self._spec["linux"].get("namespaces", []), self._donors)
        # As: before, but alone in mount, uts, ipc and network namespaces. Root: still the host's.
        self._set_hostname()
        root_fd = self._mount_root()
        # The overlay is of a user namespace or not, and so is all else.
        plan = mounts.plan_mounts(
            self._spec,
            has_borrowed_devices=self._overlay.get("userxattr", False),
            provided=provided,
        )
        self._perform(plan, root_fd)
        self._perform(mounts.plan_cgroups(self._spec, self._cgroup_folders), root_fd)
        self._tell_mounted(root_fd)
        enter_root(self._spec, root_fd)
        # As: before. Root: the container's; of the host only the sync socket and stdio are open.
        os.umask(0o022)
        identity = workload.find_identity(self._process, annotations.get(USER_ANNOTATION))
        workload.enter_working_directory(self._process["cwd"])
        connect_stdio(self._stdio, self._slave, identity)
        protocol.send(self._sync, {"type": "executing"})
        workload.become(self._process, identity, self._install_filter)
        # As: the container's user, with its capabilities and its filter.
        if stays:
            reaper.stay(lambda: self._execute(identity), self._process["args"], span)
        workload.execute(self._process, identity, self._sync.fileno())

    def _execute(self, identity: workload.Identity) -> None:
        sync = self._sync
        report_failure(sync, lambda: workload.execute(self._process, identity, sync.fileno()))

    def _adjust_oom_score(self) -> None:
        if "oomScoreAdj" in self._process:
            path, score = "/proc/self/oom_score_adj", self._process["oomScoreAdj"]
            with Step("limits", path):
                try:
                    _write(path, str(score))
                except PermissionError as error:
                    reason = f"--oom-score-adj {score} is below the engine's own, which needs"
                    reason += " CAP_SYS_RESOURCE on the host; ask for a higher one"
                    raise StepFailure("limits", error.errno or 0, path, reason) from error

    def _set_hostname(self) -> None:
        types = {namespace["type"] for namespace in self._spec["linux"].get("namespaces", [])}
        # Without an own uts namespace this would rename the host.
        if "hostname" in self._spec and "uts" in types:
            with Step("hostname"):
                syscalls.sethostname(self._spec["hostname"])
        if "domainname" in self._spec and "uts" in types:
            with Step("hostname"):
                syscalls.setdomainname(self._spec["domainname"])

    def _mount_root(self) -> int:
        with Step("rootfs", self._mount_point):
            return rootfs.mount_overlay(syscalls, self._overlay, self._mount_point)

    def _perform(self, plan: list[mounts.Operation], root_fd: int) -> None:
        for operation in plan:
            with Step(operation.step, operation.path):
                operation.perform(syscalls, root_fd)

    def _tell_mounted(self, root_fd: int) -> None:
        """Give the monitor our mount namespace, and the terminal when there is one."""
        fds = [os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)]
        if self._is_terminal:
            with Step("terminal"):
                master, self._slave = terminal.open_pair(root_fd)
                terminal.cover_console(root_fd, self._slave)
            fds.append(master)
        protocol.send(self._sync, {"type": "mounted"}, fds)
        for fd in fds:
            os.close(fd)


def enter_root(spec: Spec, root_fd: int) -> None:
    """Make an open mount the root, read-only where the spec says so; the descriptor is closed."""
    with Step("pivot"):
        if spec["root"].get("readonly", False):
            syscalls.mount_setattr(root_fd, constants.MOUNT_ATTR_RDONLY, 0, 0, recursive=False)
        rootfs.pivot(root_fd)
        os.close(root_fd)


def report_failure(sync: socket.socket, body: Callable[[], None]) -> None:
    """Run `body` and tell the monitor why it failed."""
    try:
        body()
    except StepFailure as failure:
        protocol.send(sync, failure.to_message())
    except Exception as error:  # noqa: BLE001 - the top of a process: nobody else could tell it
        internal = StepFailure("internal", 0, "", describe(error).strip())
        protocol.send(sync, internal.to_message())


def connect_stdio(stdio: list[int], slave: int, identity: workload.Identity) -> None:
    """Put the process's streams in the places 0, 1 and 2.

    The user gets them, so that it can open /dev/stdout, as runc does.
    """
    if slave >= 0:
        with Step("terminal"):
            terminal.make_controlling(slave)
        stdio = [slave] * 3
    with Step("stdio"):
        for number, fd in enumerate(stdio):
            if fd >= 0:
                # Never a device: that would be the host's own /dev/null.
                if identity.uid and (slave >= 0 or not stat.S_ISCHR(os.fstat(fd).st_mode)):
                    _give(fd, identity, gid=-1 if slave >= 0 else identity.gid)
                os.dup2(fd, number)
            else:
                null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
                os.dup2(null, number)
                os.close(null)


def _give(fd: int, identity: workload.Identity, gid: int) -> None:
    try:
        os.fchown(fd, identity.uid, gid)
    except OSError as error:
        workload.raise_if_unmapped(error, identity)
        raise


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
