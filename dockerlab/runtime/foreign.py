"""A container made by another OCI runtime, runc or crun, in place of `runtime.init`.

The monitor forks a driver, which has a mount namespace of its own: there it mounts the root, looks
up the user, and has the runtime create and start the container. The container's first process is
then the monitor's child, for the monitor is a subreaper (PR_SET_CHILD_SUBREAPER(2const)), and all
else is as with ours: streams, log, execs, signals, exit record.
"""

from __future__ import annotations

import errno
import json
import os
import socket

from dockerlab.kernel import constants, syscalls
from dockerlab.kernel.fds import recv_message
from dockerlab.runtime import namespaces, protocol, rootfs, workload
from dockerlab.runtime.cgroups.tree import parse_mountinfo
from dockerlab.runtime.init import USER_ANNOTATION, report_failure
from dockerlab.runtime.namespaced import Namespaced
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.supervised import Supervised, fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerlab.oci.runtimespec import Process, Spec
    from dockerlab.runtime.stdio import Stdio
    from dockerlab.runtime.supervised import Observer

__all__ = ["Foreign", "ForeignLauncher"]

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_EXEC_FAILED = 127
# What runc and crun say when the program, and not the container, is what fails.
_REASONS = (
    ("executable file not found in $PATH", errno.ENOENT),
    ("executable file `", errno.ENOENT),
    ("no such file or directory", errno.ENOENT),
    ("permission denied", errno.EACCES),
)


class ForeignLauncher(Namespaced):
    """Launches the first process by another runtime, all others as ever."""

    def launch_first(self, stdio: Stdio, streams: list[int], observer: Observer) -> Supervised:
        """Have the runtime make the container; raise StepFailure."""
        for namespace in self._namespaces:
            if namespace["type"] in self._donors and "path" not in namespace:
                # One that was made for it, and that is nobody's else.
                fd = self._donors[namespace["type"]]
                namespace["path"] = f"/proc/{os.getpid()}/fd/{fd}"
        self._foreign = Foreign(self._args, self._spec)
        pid, sync = self._foreign.create(streams)
        for donor in self._donors.values():
            os.close(donor)
        first = Supervised(self._loop, pid, sync, stdio, observer)
        # As after `leave_pid`: execs are born into the container's pid namespace.
        syscalls.setns(first.pidfd, constants.CLONE_NEWPID)
        return first

    def started(self) -> None:
        """Take leave of the driver."""
        self._foreign.started()

    def close(self) -> None:
        """Have the runtime take away what it has made."""
        self._foreign.delete()


class Foreign:
    """One container under another runtime.

    Parameters
    ----------
    args : dict
        The monitor's: ``runtime`` is the path of the program.
    """

    def __init__(self, args: dict[str, Any], spec: Spec) -> None:
        self._args = args
        self._spec = spec
        self._folder = f"{args['run_dir']}/runtime"
        self._driver = 0

    def create(self, stdio: list[int]) -> tuple[int, socket.socket]:
        """Make the container; return its first process and the socket on which its start is told.

        Parameters
        ----------
        stdio : list of int
            For 0, 1 and 2 of the program; -1 is /dev/null, and all are ignored with a terminal.

        Raises
        ------
        StepFailure
            It cannot be made; nothing of it is left.
        """
        syscalls.become_subreaper()
        sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with Step("fork"):
            self._driver = fork(lambda: self._drive(theirs, stdio))
        theirs.close()
        message, _ = protocol.receive(sync)
        if message is None or message["type"] == "failed":
            sync.close()
            self.started()
            self.delete()
            if message is None:
                raise StepFailure("runtime", 0, "", "the runtime's driver ended without a word")
            raise StepFailure.from_message(message)
        pid: int = message["pid"]
        return pid, sync

    def started(self) -> None:
        """Take leave of the driver, which ends when it has told the start."""
        if self._driver:
            os.waitpid(self._driver, 0)
            self._driver = 0

    def delete(self) -> None:
        """Have the runtime take away what it has made."""
        # Children would be born into the container's pid namespace, which may be gone.
        namespaces.return_to_own_pid()
        self._call(["delete", "--force", self._args["id"]], [-1, -1, -1])
        for folder, folders, files in os.walk(self._folder, topdown=False):
            for name in files:
                os.unlink(f"{folder}/{name}")
            for name in folders:
                os.rmdir(f"{folder}/{name}")
        if os.path.isdir(self._folder):
            os.rmdir(self._folder)

    # --------------------------------------------------------------------------- in the driver

    def _drive(self, sync: socket.socket, stdio: list[int]) -> None:
        report_failure(sync, lambda: self._create_and_start(sync, stdio))

    def _create_and_start(self, sync: socket.socket, stdio: list[int]) -> None:
        # As: uid 0, child of the monitor. All else: the monitor's.
        syscalls.set_process_name("dl-driver")
        os.setsid()
        os.umask(0o022)
        bundle, container_id = self._args["bundle"], self._args["id"]
        mount_point = os.path.join(bundle, self._spec["root"]["path"])
        with Step("rootfs", mount_point):
            syscalls.unshare(constants.CLONE_NEWNS)
            root_fd = rootfs.mount_overlay(syscalls, self._args["rootfs"], mount_point)
        self._resolve_user(root_fd)
        os.close(root_fd)
        os.makedirs(self._folder, 0o700, exist_ok=True)
        pid_file = f"{self._folder}/pid"
        command = ["create", "--bundle", bundle, "--pid-file", pid_file]
        with socket.socket(socket.AF_UNIX) as console:
            if self._args["terminal"]:
                command += ["--console-socket", f"{self._folder}/console.sock"]
                console.bind(f"{self._folder}/console.sock")
                console.listen(1)
                stdio = [-1, -1, -1]
            self._call_checked([*command, container_id], stdio)
            masters = _accept_master(console) if self._args["terminal"] else []
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        protocol.send(sync, {"type": "created", "pid": pid})
        mount_namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        protocol.send(sync, {"type": "mounted"}, [mount_namespace, *masters])
        protocol.send(sync, {"type": "executing"})
        try:
            self._call_checked(["start", container_id], [-1, -1, -1])
        except StepFailure:
            self._call(["kill", container_id, "KILL"], [-1, -1, -1])
            raise

    def _resolve_user(self, root_fd: int) -> None:
        """Write the user's ids into the spec: other runtimes look up no names."""
        user = self._spec.get("annotations", {}).get(USER_ANNOTATION)
        if user is None:
            return
        process: Process = self._spec["process"]
        identity = workload.find_identity(process, user, root_fd)
        process["user"]["uid"], process["user"]["gid"] = identity.uid, identity.gid
        process["user"]["additionalGids"] = identity.groups
        if not any(entry.startswith("HOME=") for entry in process["env"]):
            process["env"] = [*process["env"], f"HOME={identity.home}"]
        path = os.path.join(self._args["bundle"], "config.json")
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(self._spec, file)
        os.rename(f"{path}.new", path)

    # ----------------------------------------------------------------------------- the runtime

    def _call_checked(self, command: list[str], stdio: list[int]) -> None:
        if self._call(command, stdio) != 0:
            raise self._failure(command[0])

    def _call(self, command: list[str], stdio: list[int]) -> int:
        program = self._args["runtime"]
        words = [program, "--root", f"{self._folder}/states"]
        words += ["--log", f"{self._folder}/log", "--log-format", "json", *command]
        pid = fork(lambda: _execute(program, words, stdio))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _failure(self, verb: str) -> StepFailure:
        """Return what the runtime's log says, as the failure of a step."""
        program = self._args["runtime"]
        text = f'{verb} failed; see what "{program}" needs on this host'
        try:
            with open(f"{self._folder}/log", encoding="utf-8", errors="replace") as file:
                for line in file:
                    entry = json.loads(line)
                    text = entry["msg"] if entry.get("level") == "error" else text
        except (OSError, ValueError, KeyError):
            pass  # The sentence above is all there is.
        name = self._spec["process"]["args"][0]
        for words, number in _REASONS:
            # A mount that fails has other words before these.
            if words in text and ("exec" in text or name in text):
                return StepFailure("exec", number, name, text)
        return StepFailure("runtime", 0, program, f"{os.path.basename(program)}: {text}")


def _execute(program: str, words: list[str], stdio: list[int]) -> None:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    # First all copies, then the places: a source may have the number of a place.
    copies = [os.dup(null if fd < 0 else fd) for fd in stdio]
    for number, fd in enumerate(copies):
        os.dup2(fd, number)
    syscalls.close_range(3)
    _hide_unified_tree()
    try:
        os.execve(program, words, _ENVIRONMENT)  # noqa: S606 - no shell is the point
    except OSError:
        os._exit(_EXEC_FAILED)


def _hide_unified_tree() -> None:
    """Where both versions of cgroups are mounted, show v1 alone: crun refuses to see both.

    In a mount namespace of this process's own; the limits are v1's there anyway (`cgroups.tree`).
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        controllers, unified = parse_mountinfo(file.read())
    if controllers and unified:
        syscalls.unshare(constants.CLONE_NEWNS)
        syscalls.umount(unified, constants.MNT_DETACH)


def _accept_master(console: socket.socket) -> list[int]:
    connection, _ = console.accept()
    with connection:
        _, masters = recv_message(connection)
    return masters
