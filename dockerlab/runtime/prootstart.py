"""What a process does until it is PRoot: places of binds, user, terminal, arguments.

It has the host's root to its end, so every path of the container is opened by `runtime.inside`, and
no link of the image leads out. What PRoot is told comes from here alone: of the environment it
knows nothing that is the program's (`runtime.starter`).
"""

from __future__ import annotations

import errno
import os

from dockerlab.kernel import privileges, syscalls
from dockerlab.runtime import protocol, starter, workload
from dockerlab.runtime.init import connect_stdio, report_failure
from dockerlab.runtime.inside import Held, make_directory, make_file
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.zygote import block_imports

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from dockerlab.oci.runtimespec import Mount, Process

__all__ = ["Folders", "ProotStart"]

# What of the host every program needs; nobody's files are among them.
_FOLDERS = ("/proc", "/sys", "/dev/pts")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
_STARTER = "/dev/.dockerlab-start"
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a place in the container
_SHARED_MEMORY_MODE = 0o1777
_ROOT = workload.Identity(0, 0, [], "")


class Folders:
    """Where a container's files are, on the host.

    Parameters
    ----------
    root : str
        What it sees as `/`.
    scratch : str
        For what PRoot has to keep.
    starter : str
        The starter's file.
    binds : list of Mount
        Of the spec; only `source` and `destination` are looked at.
    """

    __slots__ = ("binds", "root", "scratch", "starter")

    def __init__(self, root: str, scratch: str, starter: str, binds: list[Mount]) -> None:
        self.root = root
        self.scratch = scratch
        self.starter = starter
        self.binds = binds


class ProotStart:
    """The forked process.

    Parameters
    ----------
    proot : str
        PRoot's path.
    user : str or None
        Docker's ``user[:group]``; None takes the ids of `process`.
    streams : list of int
        Descriptors for 0, 1 and 2; -1 is /dev/null, and with a terminal all are ignored.
    """

    def __init__(
        self,
        *,
        sync: socket.socket,
        proot: str,
        folders: Folders,
        process: Process,
        user: str | None,
        streams: list[int],
    ) -> None:
        self._sync = sync
        self._proot = proot
        self._folders = folders
        self._process = process
        self._user = user
        self._streams = streams

    def run(self) -> None:
        """Live until execve; a failure is reported and ends the process."""
        report_failure(self._sync, self._start)

    def _start(self) -> None:
        # As: the engine's user. Root and all else: the host's, to the end.
        syscalls.set_process_name("dl-proot")
        block_imports()
        os.setsid()
        os.umask(0)
        with Step("rootfs", self._folders.root):
            root_fd = os.open(self._folders.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        binds = [*_host_binds(root_fd), *self._own_binds(root_fd)]
        self._make_working_directory(root_fd)
        identity = workload.find_identity(self._process, self._user, root_fd)
        os.close(root_fd)
        slave = self._open_terminal()
        connect_stdio(self._streams, slave, _ROOT)
        os.umask(0o022)
        with Step("capabilities"):
            # Nothing that PRoot runs shall get more than it has; under ptrace it could not anyway.
            privileges.prctl(privileges.PR_SET_NO_NEW_PRIVS, 1)
        self._execute(binds, identity)

    def _own_binds(self, root_fd: int) -> list[str]:
        """Make a place for each bind of the container's."""
        binds = []
        for mount in self._folders.binds:
            source, place = mount["source"], mount["destination"]
            with Step("mount", place):
                make = make_directory if os.path.isdir(source) else make_file
                os.close(make(syscalls, root_fd, place))
            binds.append(f"{source}:{place}")
        with Step("mount", _STARTER):
            os.close(make_file(syscalls, root_fd, _STARTER))
        return [*binds, f"{self._folders.starter}:{_STARTER}"]

    def _make_working_directory(self, root_fd: int) -> None:
        """Make it where it is missing, as Docker does; inside a bind, in what is bound there."""
        path = os.path.normpath(self._process["cwd"])
        under = [mount for mount in self._folders.binds if _is_inside(path, mount["destination"])]
        with Step("cwd", path):
            if not under:
                os.close(make_directory(syscalls, root_fd, path))
                return
            mount = max(under, key=lambda mount: len(mount["destination"]))
            flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
            with Held(syscalls, os.open(mount["source"], flags)) as source_fd:
                rest = path[len(mount["destination"].rstrip("/")) :]
                os.close(make_directory(syscalls, source_fd, rest or "/"))

    def _open_terminal(self) -> int:
        if not self._process.get("terminal", False):
            return -1
        with Step("terminal"):
            master, slave = os.openpty()
            protocol.send(self._sync, {"type": "terminal"}, [master])
            os.close(master)
            return slave

    def _execute(self, binds: list[str], identity: workload.Identity) -> None:
        """Execute PRoot, for the starter, for the program."""
        args = [os.fsencode(arg) for arg in self._process["args"]]
        name = self._process["args"][0] if args else ""
        if not name:
            raise StepFailure("exec", errno.ENOENT, name, f'exec "{name}": no such file')
        environ = workload.environment(self._process["env"], identity)
        search = environ.get(b"PATH", workload.DEFAULT_PATH)
        options = ["-v", "-1", "-r", self._folders.root]
        options += ["-w", os.path.normpath(self._process["cwd"])]
        options += ["-i", f"{identity.uid}:{identity.gid}"]
        for bind in binds:
            options += ["-b", bind]
        argv = [os.fsencode(word) for word in (self._proot, *options, _STARTER)]
        paths = workload.candidates(args[0], search)
        own = {b"PROOT_TMP_DIR": os.fsencode(self._folders.scratch)}
        marked = {starter.ENVIRONMENT_MARK + key: value for key, value in environ.items()}
        workload.forget_signals()
        self._keep_only_sync()
        with Step("proot", self._proot):
            os.execve(self._proot, [*argv, *starter.arguments(paths, args)], own | marked)  # noqa: S606

    def _keep_only_sync(self) -> None:
        fd = self._sync.fileno()
        if fd == starter.REPORT_FD:
            os.set_inheritable(fd, True)  # noqa: FBT003 - the standard library's own signature
        else:
            os.dup2(fd, starter.REPORT_FD)
            syscalls.close_range(starter.REPORT_FD + 1, fd - 1)
        syscalls.close_range(max(fd, starter.REPORT_FD) + 1)


def _host_binds(root_fd: int) -> list[str]:
    """Make the places of what the host lends, in the container's root, and name the binds."""
    for path in _FOLDERS:
        with Step("mount", path):
            os.close(make_directory(syscalls, root_fd, path))
    with Step("mount", "/dev"), Held(syscalls, make_directory(syscalls, root_fd, "/dev")) as dev_fd:
        for name, target in _DEVICE_LINKS.items():
            try:
                os.symlink(target, name, dir_fd=dev_fd)
            except FileExistsError:
                continue
    devices = [f"/dev/{name}" for name in _DEVICES if os.path.exists(f"/dev/{name}")]
    for path in devices:
        with Step("mount", path):
            os.close(make_file(syscalls, root_fd, path))
    with (
        Step("mount", _SHARED_MEMORY),
        Held(syscalls, make_directory(syscalls, root_fd, _SHARED_MEMORY)) as memory_fd,
    ):
        os.chmod(f"/proc/self/fd/{memory_fd}", _SHARED_MEMORY_MODE)
    return [path for path in (*_FOLDERS, *devices) if os.path.exists(path)]


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
