"""The verbs of the command line: create, start, kill, delete and those that only look.

Each takes a store and plain values, and raises StepFailure. What somebody else's process may do
between two of them is in `store`; the verbs that run one more process are in `additional`.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import time

from dockerlab.kernel.fds import send_message
from dockerlab.runtime import namespaces, protocol, seccomp
from dockerlab.runtime.bundle import load_filter
from dockerlab.runtime.cgroups.tree import CgroupError, detect
from dockerlab.runtime.init import report_failure
from dockerlab.runtime.jsonlog import rfc3339_nano
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.standalone import foreign
from dockerlab.runtime.standalone.firstprocess import FirstProcess
from dockerlab.runtime.standalone.hooks import run_hooks
from dockerlab.runtime.standalone.store import process_start
from dockerlab.runtime.supervised import fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerlab.oci.runtimespec import Hook, Spec
    from dockerlab.runtime.cgroups.tree import CgroupTree
    from dockerlab.runtime.standalone.store import Container, Store

__all__ = [
    "Creation",
    "Jail",
    "create",
    "delete",
    "expect",
    "jail_of",
    "kill",
    "pause",
    "resume",
    "send_console",
    "start",
    "write_pid",
]

# How long a killed process may take to be gone.
_KILL_S = 10.0
_PAUSE_S = 0.01
_NUMBER_BYTES = 32


class Creation:
    """What ``create`` is asked for.

    Parameters
    ----------
    console_socket : str
        Where the master side of the terminal is sent to; '' without a terminal.
    pid_file : str
        Where the first process's number is written; '' nowhere.
    preserved : int
        How many descriptors from 3 on the program inherits.
    """

    def __init__(
        self, container_id: str, bundle: str, *, console_socket: str, pid_file: str, preserved: int
    ) -> None:
        self.container_id = container_id
        self.bundle = os.path.realpath(bundle)
        self.console_socket = console_socket
        self.pid_file = pid_file
        self.preserved = preserved


class Jail:
    """The limits and the filter of a container, as its processes take them on."""

    def __init__(self, spec: Spec, path: str, filter_: bytes | None) -> None:
        self._spec = spec
        self._path = path
        self._filter = filter_
        self._tree: CgroupTree | None = detect() if path else None

    def make(self) -> None:
        """Make the cgroup."""
        if self._tree is not None:
            with Step("cgroup"):
                self._tree.create(self._path, self._spec["linux"].get("resources", {}))

    @property
    def visible(self) -> list[list[str]]:
        """The cgroup folders that the container sees."""
        return self._tree.visible(self._path) if self._tree else []

    def join(self) -> None:
        """Put the process that calls into the cgroup."""
        if self._tree is not None:
            self._tree.join(self._path, 0)

    def install_filter(self) -> None:
        """Put the process that calls under the filter."""
        if self._filter is not None:
            with Step("seccomp"):
                seccomp.install(self._filter)

    def processes(self) -> list[int]:
        """Return the processes of the cgroup."""
        return self._tree.processes(self._path) if self._tree else []

    def freeze(self) -> None:
        """Stop them from running."""
        self._needed().freeze(self._path)

    def thaw(self) -> None:
        """Let them run again."""
        self._needed().thaw(self._path)

    def remove(self) -> None:
        """Kill what is left in the cgroup, and remove it."""
        if self._tree is not None:
            self._tree.kill(self._path)
            self._tree.remove(self._path)

    def _needed(self) -> CgroupTree:
        if self._tree is None:
            raise StepFailure("cgroup", errno.ENOTSUP, "", "the container has no cgroup to pause")
        return self._tree


def create(store: Store, wanted: Creation) -> Container:
    """Make a container whose first process waits for its start.

    Raises
    ------
    StepFailure
        Nothing of it is left then.
    """
    spec = foreign.load(wanted.bundle)
    _check_terminal(spec, wanted)
    path = _cgroup_path(spec, wanted.container_id)
    container = store.add(
        wanted.container_id,
        {
            "bundle": wanted.bundle,
            "rootfs": foreign.root_path(wanted.bundle, spec),
            "created": rfc3339_nano(time.time_ns()),
            "cgroup_path": path,
            "spec": spec,
        },
    )
    jail = jail_of(container)
    try:
        jail.make()
        _create(container, wanted, jail_of(container, with_filter=True))
    except BaseException:
        _take_back(container, jail)
        raise
    return container


def _create(container: Container, wanted: Creation, jail: Jail) -> None:
    spec = container.spec
    sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with sync, container.listen() as listener:
        first = FirstProcess(
            sync=theirs,
            listener=listener,
            spec=spec,
            root=container.state["rootfs"],
            state=container.shown("creating"),
            join_cgroup=jail.join,
            cgroup_folders=jail.visible,
            install_filter=jail.install_filter,
            has_borrowed_devices=foreign.is_in_user_namespace(),
            preserved=wanted.preserved,
        )
        with theirs:
            pid = _fork_apart(spec, first, theirs)
        if not pid:
            expect(sync, "forked")
        container.state |= {"pid": pid, "pid_started": process_start(pid)}
        container.save()
        _, masters = expect(sync, "mounted")
        for master in masters:
            send_console(wanted.console_socket, master)
        hooks = spec.get("hooks", {})
        shown = container.shown("creating")
        run_hooks([*hooks.get("prestart", []), *hooks.get("createRuntime", [])], shown)
        protocol.send(sync, {"type": "go_on", "pid": pid})
        expect(sync, "created")
    if wanted.pid_file:
        write_pid(wanted.pid_file, pid)


def _fork_apart(spec: Spec, first: FirstProcess, sync: socket.socket) -> int:
    """Fork the first process as the child of who cares for orphans; return its pid, 0 for none.

    By a process between: it leaves our pid namespace for its children's, and without root there
    would be no way back, while our own children, the hooks, are the host's.
    """
    reader, writer = os.pipe()

    def step_between() -> None:
        """Fork the first process, and tell its number."""
        with Step("fork"):
            namespaces.leave_pid(spec["linux"].get("namespaces", []), {})
            pid = fork(first.run)
        os.write(writer, b"%d" % pid)

    with Step("fork"):
        between = fork(lambda: report_failure(sync, step_between))
    os.close(writer)
    # Once, and not to the end: the first process holds the other side too.
    answer = os.read(reader, _NUMBER_BYTES)
    os.close(reader)
    os.waitpid(between, 0)
    return int(answer or b"0")


def start(store: Store, container_id: str) -> None:
    """Let a created container's program run; returns when it was executed."""
    container = store.get(container_id)
    if container.status != "created":
        raise StepFailure(
            "bundle",
            errno.EINVAL,
            container_id,
            f'cannot start container "{container_id}": it is {container.status}, not created',
        )
    with container.connect() as connection:
        os.unlink(f"{container.folder}/start.sock")
        message, _ = protocol.receive(connection)
    if message is not None:
        raise StepFailure.from_message(message)
    _run_poststart(container)


def kill(store: Store, container_id: str, number: int, *, everybody: bool) -> None:
    """Send a signal to the first process, or to all."""
    container = store.get(container_id)
    pid = container.pid
    if everybody:
        for each in jail_of(container).processes():
            _send(each, number)
    elif not pid:
        message = f'container "{container_id}" is not running'
        raise StepFailure("bundle", errno.ESRCH, container_id, message)
    if pid:
        _send(pid, number)


def delete(store: Store, container_id: str, *, force: bool) -> None:
    """Take away what a container has left; one that runs only by `force`."""
    try:
        container = store.get(container_id)
    except StepFailure:
        if force:
            return
        raise
    status = container.status
    if status not in ("stopped", "creating") and not force:
        message = f'cannot delete container "{container_id}" that is {status}: stop it first'
        raise StepFailure("bundle", errno.EBUSY, container_id, message)
    _take_back(container, jail_of(container))
    hooks = container.spec.get("hooks", {})
    shown = {**container.shown("stopped"), "status": "stopped"}
    for hook in hooks.get("poststop", []):
        _warn_of_failure(hook, shown)


def pause(store: Store, container_id: str) -> None:
    """Stop every process of a container from running."""
    jail_of(store.get(container_id)).freeze()


def resume(store: Store, container_id: str) -> None:
    """Let a paused container run again."""
    jail_of(store.get(container_id)).thaw()


def jail_of(container: Container, *, with_filter: bool = False) -> Jail:
    """Return the limits of a container; the filter takes time, and is for who starts processes."""
    filter_ = load_filter(container.folder, container.spec) if with_filter else None
    return Jail(container.spec, container.state["cgroup_path"], filter_)


def expect(sync: socket.socket, kind: str) -> tuple[dict[str, Any], list[int]]:
    """Receive the message `kind`; raise StepFailure for any other end."""
    message, fds = protocol.receive(sync)
    if message is None:
        raise StepFailure("internal", 0, "", "the process ended during the start")
    if message["type"] == "failed":
        raise StepFailure.from_message(message)
    if message["type"] != kind:
        raise StepFailure("internal", 0, "", f'"{message["type"]}" came in place of "{kind}"')
    return message, fds


def send_console(path: str, master: int) -> None:
    """Send the master side of a terminal to who listens at `path`, and close it."""
    with Step("terminal", path), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        send_message(connection, b"/dev/ptmx", [master])
    os.close(master)


def write_pid(path: str, pid: int) -> None:
    """Write a number to a file that appears whole or not at all."""
    temporary = f"{path}.new"
    with Step("bundle", path):
        with open(temporary, "w", encoding="ascii") as file:
            file.write(str(pid))
        os.rename(temporary, path)


def _check_terminal(spec: Spec, wanted: Creation) -> None:
    is_terminal = spec["process"].get("terminal", False)
    if is_terminal != bool(wanted.console_socket):
        reason = "needs --console-socket" if is_terminal else "has no terminal for --console-socket"
        raise StepFailure("terminal", errno.EINVAL, "", f"the process {reason}")


def _cgroup_path(spec: Spec, container_id: str) -> str:
    linux = spec["linux"]
    path = linux.get("cgroupsPath", "") or f"/dockerlab/{container_id}"
    if ":" in path:
        message = f'cgroup "{path}" is systemd\'s; use the cgroup manager "cgroupfs"'
        raise StepFailure("cgroup", errno.ENOTSUP, path, message)
    if ".." in path.split("/"):
        raise StepFailure("cgroup", errno.EINVAL, path, f'cgroup "{path}" leads upwards')
    if not foreign.is_in_user_namespace():
        return path
    limits = [key for key in linux.get("resources", {}) if key != "devices"]
    # A user may make no cgroup unless somebody gave them one; only limits need it.
    return path if limits else ""


def _take_back(container: Container, jail: Jail) -> None:
    """Undo everything: the processes, the cgroup, the folder."""
    pid = container.pid
    if pid:
        _send(pid, signal.SIGKILL)
        deadline = time.monotonic() + _KILL_S
        while container.pid and time.monotonic() < deadline:
            _reap(pid)
            time.sleep(_PAUSE_S)
    try:
        jail.remove()
    except CgroupError as error:
        raise StepFailure("cgroup", error.errno or 0, str(error.filename), str(error)) from error
    finally:
        container.remove()


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # somebody else's child by now


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _run_poststart(container: Container) -> None:
    hooks = container.spec.get("hooks", {})
    for hook in hooks.get("poststart", []):
        _warn_of_failure(hook, container.shown())


def _warn_of_failure(hook: Hook, shown: dict[str, Any]) -> None:
    """Run a hook whose failure changes nothing any more, as the specification has it."""
    try:
        run_hooks([hook], shown)
    except StepFailure as failure:
        os.write(2, f"warning: {failure.message}\n".encode())
