"""The monitor: one small process per container, which sees it from its start to its end.

It forks the container's first process, holds its streams, writes its log and its exit record, and
answers on a socket. It outlives the daemon and the zygote: nothing that they do ends it. Their
conversation is the table in `runtime.protocol`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time

from dockerlab.kernel import syscalls
from dockerlab.runtime import namespaces, seccomp
from dockerlab.runtime.cgroups.tree import detect
from dockerlab.runtime.connections import Connections
from dockerlab.runtime.enter import Enter
from dockerlab.runtime.exitrecord import write_exit_record
from dockerlab.runtime.init import Init
from dockerlab.runtime.jsonlog import JsonFileLog
from dockerlab.runtime.loop import Loop
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.stdio import Stdio
from dockerlab.runtime.supervised import Pipes, Supervised, fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerlab.oci.runtimespec import Spec
    from dockerlab.runtime.cgroups.tree import CgroupTree

__all__ = ["run"]

# How long a client may take nothing of what is left for it after the container's end.
_FAREWELL_S = 10.0


def run(args: dict[str, Any], fds: list[int]) -> None:
    """Be the monitor of one container until its end; a job of the zygote.

    Parameters
    ----------
    args : dict
        ``id, bundle, rootfs, run_dir, log, exit_file, terminal, open_stdin, stdin_once, tty_size,
        attachments``.
    fds : list of int
        The daemon's socket, then one connection for each attachment.
    """
    # As: uid 0, child of the zygote. Everything is the zygote's: its mount namespace, its log.
    received_s = time.monotonic()
    os.setsid()
    syscalls.set_process_name("dl-monitor")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Only the container's end, or SIGKILL, ends a monitor.
        signal.signal(number, signal.SIG_IGN)
    Monitor(args, fds, received_s).run()


class Monitor:
    """The state of one container's supervision."""

    def __init__(self, args: dict[str, Any], fds: list[int], received_s: float) -> None:
        self._args = args
        control, *attachments = fds
        self._loop = Loop()
        self._connections = Connections(self._loop, args["run_dir"], self._handle)
        self._connections.add(socket.socket(fileno=control))
        self._waiting = attachments
        self._timings = {"received": received_s}
        self._execs: dict[str, Supervised] = {}
        self._init: Supervised | None = None
        self._tree: CgroupTree | None = None
        self._cgroup_path = ""
        self._mount_namespace = -1
        self._started_ns = 0
        self._spec: Spec | None = None
        self._filter: bytes | None = None
        self._sent_bytes = 0

    def run(self) -> None:
        """Start the container and stay until it, and what is to be said of it, has ended."""
        try:
            self._start()
        except StepFailure as failure:
            self._fail(failure)
        else:
            self._loop.run()
        self._clean_up()

    # ------------------------------------------------------------------------------------- start

    def _start(self) -> None:
        bundle = self._args["bundle"]
        with Step("bundle", bundle):
            spec: Spec = json.loads(_read(os.path.join(bundle, "config.json")) or b"{}")
            self._spec = spec
            self._filter = _load_filter(bundle, spec)
            self._connections.listen()
        stdio, pipes = self._make_stdio()
        sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        init = Init(
            sync=theirs,
            spec=spec,
            overlay=self._args["rootfs"],
            mount_point=os.path.join(bundle, spec["root"]["path"]),
            stdio=pipes.theirs if pipes else [-1, -1, -1],
            install_filter=self._install_filter,
        )
        with Step("fork"):
            namespaces.leave_pid(spec["linux"].get("namespaces", []))
            pid = fork(init.run)
        theirs.close()
        if pipes:
            pipes.close_theirs()
            stdio.connect_pipes(pipes.stdin, pipes.sources)
        self._init = Supervised(self._loop, pid, sync, stdio, _InitObserver(self))
        self._timings["forked"] = time.monotonic()
        # While init mounts: both take their time, and the attaching to a cgroup is mostly waiting.
        self._join_cgroup(spec, pid)

    def _make_stdio(self) -> tuple[Stdio, Pipes | None]:
        args = self._args
        terminal = bool(args["terminal"])
        with Step("log", args["log"]):
            log = JsonFileLog(args["log"]) if args["log"] else None
        stdio = Stdio(
            self._loop,
            ends_with_client=args["stdin_once"] and not terminal,
            log=log,
            on_first_byte=self._first_byte,
        )
        for fd, request in zip(self._waiting, args["attachments"], strict=True):
            stdio.attach(fd, request)
        self._waiting = []
        return stdio, None if terminal else Pipes(has_input=args["open_stdin"])

    def _join_cgroup(self, spec: Spec, pid: int) -> None:
        path = spec["linux"].get("cgroupsPath", "")
        if path:
            try:
                with Step("cgroup"):
                    self._tree = detect()
                    self._tree.create(path, spec["linux"].get("resources", {}))
                    self._cgroup_path = path
                    self._tree.join(path, pid)
            except StepFailure:
                os.kill(pid, signal.SIGKILL)
                raise
        self._timings["cgroup"] = time.monotonic()

    def _install_filter(self) -> None:
        if self._filter is not None:
            with Step("seccomp"):
                seccomp.install(self._filter)

    def _first_byte(self, monotonic_s: float) -> None:
        self._connections.broadcast({"type": "output", "monotonic_s": monotonic_s})

    # ------------------------------------------------------------------- what init's observer calls

    def mounted(self, fds: list[int]) -> None:
        """Let init go on: its root is ready, and it is in its cgroup."""
        # Held until the end is told: the last holder of a mount namespace unmounts, and to unmount
        # an overlay may wait for a disk. The container's end shall not.
        self._mount_namespace, *terminal = fds
        self._timings["mounted"] = time.monotonic()
        init = self._init
        if init is None:
            return
        if terminal:
            init.stdio.connect_terminal(terminal[0], self._args["tty_size"])
        folders = self._tree.visible(self._cgroup_path) if self._tree else []
        init.go({"type": "go", "cgroups": folders})

    def started(self) -> None:
        """Tell that the program runs."""
        self._timings["executed"] = time.monotonic()
        self._started_ns = time.time_ns()
        self._connections.broadcast(
            {
                "type": "started",
                "pid": self._init.pid if self._init else 0,
                "started_ns": self._started_ns,
                "timings": self._timings,
            }
        )

    def failed(self, failure: StepFailure) -> None:
        """Tell that there will be no program."""
        self._fail(failure)
        self._loop.stop()

    def exited(self, exit_code: int) -> None:
        """Record the end, tell it, and see off the clients that have not read everything."""
        init = self._init
        if init is None:
            return
        record = {
            "exit_code": exit_code,
            "oom_killed": bool(self._tree and self._tree.oom_kills(self._cgroup_path)),
            "finished_ns": init.finished_ns,
            "monotonic_s": init.finished_s,
        }
        settle = write_exit_record(self._args["exit_file"], record)
        self._connections.broadcast({"type": "exited", **record})
        settle()
        self._await_clients()

    def _await_clients(self) -> None:
        stdio = self._init.stdio if self._init else None
        if stdio is None or not stdio.has_clients:
            self._loop.stop()
            return
        if stdio.queued_bytes == self._sent_bytes:
            stdio.drop_clients()
        self._sent_bytes = stdio.queued_bytes
        self._loop.call_later(_FAREWELL_S if stdio.has_clients else 0, self._await_clients)

    def _fail(self, failure: StepFailure) -> None:
        self._connections.broadcast(failure.to_message())

    # ---------------------------------------------------------------------------------- messages

    def _handle(
        self, connections: Connections, sock: socket.socket, message: dict[str, Any], fds: list[int]
    ) -> None:
        kind = message.get("type")
        init = self._init
        if init is None:
            _close(fds)
        elif kind == "attach":
            init.stdio.attach(fds[0], message)
        elif kind == "kill":
            init.kill(message["signal"])
        elif kind == "resize":
            target = self._execs.get(message["exec_id"]) if "exec_id" in message else init
            if target is not None:
                target.stdio.resize(message["rows"], message["columns"])
        elif kind == "state":
            connections.send(
                sock,
                {
                    "type": "state",
                    "pid": init.pid,
                    "started_ns": self._started_ns,
                    "exit_code": init.exit_code,
                },
            )
        elif kind == "exec":
            self._exec(message, fds)
        else:
            _close(fds)

    def _exec(self, message: dict[str, Any], fds: list[int]) -> None:
        observer = _ExecObserver(self, message["exec_id"], message.get("exit_file", ""))
        try:
            if self._init is None or not self._init.is_running:
                raise StepFailure("fork", 0, "", "the container is not running")
            with Step("fork"):
                self._execs[message["exec_id"]] = self._fork_exec(message, fds, observer)
        except StepFailure as failure:
            _close(fds)
            observer.on_failed(failure)

    def _fork_exec(
        self, message: dict[str, Any], fds: list[int], observer: _ExecObserver
    ) -> Supervised:
        process = message["process"]
        terminal = bool(message["terminal"])
        process["terminal"] = terminal
        pipes = None if terminal else Pipes(has_input=message.get("open_stdin", False))
        sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        enter = Enter(
            sync=theirs,
            init_pid=self._init.pid if self._init else 0,
            process=process,
            user=message.get("user"),
            stdio=pipes.theirs if pipes else [-1, -1, -1],
            join_cgroup=self._join_own_cgroup,
            install_filter=self._install_filter,
        )
        pid = fork(enter.run)
        theirs.close()
        stdio = Stdio(self._loop, ends_with_client=not terminal, log=None, on_first_byte=None)
        while fds:
            stdio.attach(fds.pop(0), message["attachments"].pop(0))
        if pipes:
            pipes.close_theirs()
            stdio.connect_pipes(pipes.stdin, pipes.sources)
        return Supervised(self._loop, pid, sync, stdio, observer)

    def _join_own_cgroup(self) -> None:
        if self._tree is not None:
            # 0 is the process that writes.
            self._tree.join(self._cgroup_path, 0)

    # --------------------------------------------------------------- what exec's observers call

    def exec_ended(self, exec_id: str) -> None:
        """Forget an exec; its clients are seen off by its streams."""
        self._execs.pop(exec_id, None)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to everybody who is connected."""
        self._connections.broadcast(message)

    def pid_of(self, exec_id: str) -> int:
        """Return the pid of an exec's process, as the host sees it."""
        return self._execs[exec_id].pid

    # --------------------------------------------------------------------------------------- end

    def _clean_up(self) -> None:
        """Give back what outlives a process: the cgroup, the socket; with us the rest goes."""
        if self._init is not None and self._init.exit_code is None:
            os.waitpid(self._init.pid, 0)
        if self._mount_namespace >= 0:
            os.close(self._mount_namespace)
        if self._tree is not None and self._cgroup_path:
            self._tree.kill(self._cgroup_path)
            self._tree.remove(self._cgroup_path)
        _close(self._waiting)
        self._connections.close()


class _InitObserver:
    """Hands the events of a container's first process to its monitor."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def on_mounted(self, fds: list[int]) -> None:
        self._monitor.mounted(fds)

    def on_started(self) -> None:
        self._monitor.started()

    def on_failed(self, failure: StepFailure) -> None:
        self._monitor.failed(failure)

    def on_exited(self, exit_code: int) -> None:
        self._monitor.exited(exit_code)


class _ExecObserver:
    """Tells of one exec, and records its end."""

    def __init__(self, monitor: Monitor, exec_id: str, exit_file: str) -> None:
        self._monitor = monitor
        self._exec_id = exec_id
        self._exit_file = exit_file

    def on_mounted(self, fds: list[int]) -> None:
        _close(fds)  # an exec mounts nothing

    def on_started(self) -> None:
        pid = self._monitor.pid_of(self._exec_id)
        self._monitor.tell({"type": "exec_started", "exec_id": self._exec_id, "pid": pid})

    def on_failed(self, failure: StepFailure) -> None:
        self._monitor.exec_ended(self._exec_id)
        message = failure.to_message()
        self._monitor.tell({**message, "type": "exec_failed", "exec_id": self._exec_id})

    def on_exited(self, exit_code: int) -> None:
        self._monitor.exec_ended(self._exec_id)
        if self._exit_file:
            write_exit_record(self._exit_file, {"exit_code": exit_code})()
        message = {"type": "exec_exited", "exec_id": self._exec_id, "exit_code": exit_code}
        self._monitor.tell(message)


def _load_filter(bundle: str, spec: Spec) -> bytes | None:
    """Return the seccomp program: the cached one, else compiled from the spec; None without one."""
    if "seccomp" not in spec["linux"]:
        return None
    cached = _read(os.path.join(bundle, "seccomp.bpf"))
    return cached or seccomp.compile_filter(spec["linux"]["seccomp"], os.uname().machine)


def _read(path: str) -> bytes:
    """Return a file's content, nothing when it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
