"""The monitor: one small process per container, which sees it from its start to its end.

It forks the container's first process, holds its streams, writes its log and its exit record, and
answers on a socket. It outlives the daemon and the zygote: nothing that they do ends it. Their
conversation is the table in `runtime.protocol`.
"""

from __future__ import annotations

import os
import signal
import socket
import time

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import namespaces, seccomp
from dockerlab.runtime.bundle import load_filter, load_spec
from dockerlab.runtime.cgroups.tree import detect
from dockerlab.runtime.connections import Connections
from dockerlab.runtime.containerlog import open_log
from dockerlab.runtime.execs import Execs
from dockerlab.runtime.exitrecord import write_exit_record
from dockerlab.runtime.foreign import Foreign
from dockerlab.runtime.init import Init
from dockerlab.runtime.loop import Loop
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.stdio import Stdio
from dockerlab.runtime.supervised import Pipes, Supervised, fork
from dockerlab.runtime.zygote import describe

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
        attachments``; ``log_config`` as `containerlog.open_log` has it; ``runtime``, the program of
        another runtime, or ''.
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
        self._execs = Execs(
            self._loop,
            self._tell,
            join_cgroup=self._join_cgroup,
            install_filter=self._install_filter,
        )
        self._init: Supervised | None = None
        self._foreign: Foreign | None = None
        self._tree: CgroupTree | None = None
        self._cgroup_path = ""
        self._mount_namespace = -1
        self._started_ns = 0
        self._filter: bytes | None = None
        self._sent_bytes = 0

    def run(self) -> None:
        """Start the container and stay until it, and what is to be said of it, has ended."""
        try:
            self._start()
        except StepFailure as failure:
            self._tell(failure.to_message())
        else:
            self._loop.run()
        self._clean_up()

    # ------------------------------------------------------------------------------------- start

    def _start(self) -> None:
        bundle = self._args["bundle"]
        spec = load_spec(bundle)
        self._filter = load_filter(bundle, spec)
        self._execs.namespaces = spec["linux"].get("namespaces", [])
        with Step("bundle", self._args["run_dir"]):
            self._connections.listen()
        if self._args.get("runtime"):
            self._foreign = Foreign(self._args, spec)
        self._make_cgroup(spec)
        stdio, pipes = self._make_stdio()
        if self._foreign is not None:
            self._start_foreign(self._foreign, stdio, pipes)
            return
        sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        init = Init(
            sync=theirs,
            spec=spec,
            overlay=self._args["rootfs"],
            mount_point=os.path.join(bundle, spec["root"]["path"]),
            stdio=pipes.theirs if pipes else [-1, -1, -1],
            join_cgroup=self._join_cgroup,
            cgroup_folders=self._tree.visible(self._cgroup_path) if self._tree else [],
            install_filter=self._install_filter,
        )
        with Step("fork"):
            namespaces.leave_pid(spec["linux"].get("namespaces", []))
            pid = fork(init.run)
        theirs.close()
        if pipes:
            pipes.close_theirs()
            stdio.connect_pipes(pipes.stdin, pipes.sources)
        self._init = Supervised(self._loop, pid, sync, stdio, self)
        self._timings["forked"] = time.monotonic()

    def _start_foreign(self, foreign: Foreign, stdio: Stdio, pipes: Pipes | None) -> None:
        """Have another runtime make the container."""
        pid, sync = foreign.create(pipes.theirs if pipes else [-1, -1, -1])
        if pipes:
            pipes.close_theirs()
            stdio.connect_pipes(pipes.stdin, pipes.sources)
        self._init = Supervised(self._loop, pid, sync, stdio, self)
        # As after `leave_pid`: execs are born into the container's pid namespace.
        syscalls.setns(self._init.pidfd, constants.CLONE_NEWPID)
        self._timings["forked"] = time.monotonic()

    def _make_stdio(self) -> tuple[Stdio, Pipes | None]:
        args = self._args
        terminal = bool(args["terminal"])
        with Step("log", args["log"]):
            log = open_log(args["log"], args.get("log_config", {}), self._loop.call_later)
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

    def _make_cgroup(self, spec: Spec) -> None:
        path = spec["linux"].get("cgroupsPath", "")
        if path:
            with Step("cgroup"):
                tree = detect()
                if self._foreign is None:
                    tree.create(path, spec["linux"].get("resources", {}))
            self._tree, self._cgroup_path = tree, path
        self._timings["cgroup"] = time.monotonic()

    def _join_cgroup(self) -> None:
        """Put the process that calls, a forked one, into the cgroup."""
        if self._tree is not None:
            self._tree.join(self._cgroup_path, 0)

    def _install_filter(self) -> None:
        if self._filter is not None:
            with Step("seccomp"):
                seccomp.install(self._filter)

    def _first_byte(self, monotonic_s: float) -> None:
        self._tell({"type": "output", "monotonic_s": monotonic_s})

    # ----------------------------------------------- what init tells (the Observer of `supervised`)

    def on_mounted(self, fds: list[int]) -> None:
        """Take what init gives us: its mount namespace, and the terminal when there is one."""
        # Held until the end is told: the last holder of a mount namespace unmounts, and to unmount
        # an overlay may wait for a disk. The container's end shall not.
        self._mount_namespace, *terminal = fds
        self._timings["mounted"] = time.monotonic()
        if terminal and self._init is not None:
            self._init.stdio.connect_terminal(terminal[0], self._args["tty_size"])

    def on_started(self) -> None:
        """Tell that the program runs."""
        if self._foreign is not None:
            self._foreign.started()
        self._timings["executed"] = time.monotonic()
        self._started_ns = time.time_ns()
        self._tell(
            {
                "type": "started",
                "pid": self._init.pid if self._init else 0,
                "started_ns": self._started_ns,
                "timings": self._timings,
            }
        )

    def on_failed(self, failure: StepFailure) -> None:
        """Tell that there will be no program."""
        self._tell(failure.to_message())
        self._loop.stop()

    def on_exited(self, exit_code: int) -> None:
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
        try:
            settle = write_exit_record(self._args["exit_file"], record)
        except OSError as error:
            # Whoever listens shall know it all the same.
            _log(f"the exit record of {self._args['id']} is not written: {error.strerror}")
            settle = _nothing
        self._tell({"type": "exited", **record})
        settle()
        for stdio in self._streams():
            stdio.on_alone = self._stop_when_alone
        self._sent_bytes = -1
        self._see_off()

    def _streams(self) -> list[Stdio]:
        return [*self._execs.streams, *([self._init.stdio] if self._init else [])]

    def _stop_when_alone(self) -> None:
        if not any(stdio.has_clients for stdio in self._streams()):
            self._loop.stop()

    def _see_off(self) -> None:
        """Give every client time, as long as any of them goes on reading."""
        queued = sum(stdio.queued_bytes for stdio in self._streams())
        if queued == self._sent_bytes:
            for stdio in self._streams():
                stdio.drop_clients()
        self._sent_bytes = queued
        self._stop_when_alone()
        self._loop.call_later(_FAREWELL_S, self._see_off)

    # ---------------------------------------------------------------------------------- messages

    def _handle(self, sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        try:
            self._dispatch(sock, message, fds)
        except Exception as error:  # noqa: BLE001 - a bad message must not end the supervision
            _log(f"{self._args['id']}: {message.get('type')}: {describe(error)}")

    def _dispatch(self, sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
        init = self._init
        match message["type"]:
            case "attach" if init and fds:
                init.stdio.attach(fds[0], message)
            case "exec" if init:
                self._execs.start(message, fds, init)
            case "kill" if init:
                init.kill(message["signal"])
            case "resize" if "exec_id" in message:
                self._execs.resize(message["exec_id"], message["rows"], message["columns"])
            case "resize" if init:
                init.stdio.resize(message["rows"], message["columns"])
            case "state" if init:
                state = {
                    "pid": init.pid,
                    "started_ns": self._started_ns,
                    "exit_code": init.exit_code,
                }
                self._connections.send(sock, {"type": "state", **state})
            case _:
                for fd in fds:
                    os.close(fd)

    def _tell(self, message: dict[str, Any]) -> None:
        self._connections.broadcast(message)

    # --------------------------------------------------------------------------------------- end

    def _clean_up(self) -> None:
        """Give back what outlives a process: the cgroup, the socket; with us the rest goes."""
        if self._init is not None and self._init.exit_code is None:
            os.waitpid(self._init.pid, 0)
        if self._mount_namespace >= 0:
            os.close(self._mount_namespace)
        if self._foreign is not None:
            self._foreign.delete()
        try:
            if self._tree is not None and self._cgroup_path:
                self._tree.kill(self._cgroup_path)
                self._tree.remove(self._cgroup_path)
        finally:
            self._connections.close()


def _log(line: str) -> None:
    """Write a line to the engine's log, which is our standard error."""
    os.write(2, f"{line.rstrip()}\n".encode("utf-8", "replace"))


def _nothing() -> None:
    """Do nothing."""
