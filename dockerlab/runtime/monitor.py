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

from dockerlab.kernel import syscalls
from dockerlab.runtime.bundle import load_filter, load_spec
from dockerlab.runtime.cgroups.tree import detect
from dockerlab.runtime.connections import Connections
from dockerlab.runtime.containerlog import open_log
from dockerlab.runtime.execs import Execs
from dockerlab.runtime.exitrecord import write_exit_record
from dockerlab.runtime.foreign import ForeignLauncher
from dockerlab.runtime.loop import Loop
from dockerlab.runtime.namespaced import Namespaced
from dockerlab.runtime.oomwatch import OomWatch
from dockerlab.runtime.protocol import Step, StepFailure
from dockerlab.runtime.stdio import Stdio
from dockerlab.runtime.supervised import Pipes, Supervised
from dockerlab.runtime.traced import Traced
from dockerlab.runtime.zygote import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerlab.oci.runtimespec import Spec
    from dockerlab.runtime.cgroups.tree import CgroupTree
    from dockerlab.runtime.namespaced import Launcher

__all__ = ["run"]

# How long a client may take nothing of what is left for it after the container's end.
_FAREWELL_S = 10.0


def run(args: dict[str, Any], fds: list[int]) -> None:
    """Be the monitor of one container until its end; a job of the zygote.

    Parameters
    ----------
    args : dict
        ``id, bundle, rootfs, run_dir, log, exit_file, terminal, open_stdin, stdin_once, tty_size,
        attachments``, and ``donors`` where namespaces of other containers are joined; with
        ``proot``, its path, programs are launched by that (`runtime.traced`).
        ``log_config`` as `containerlog.open_log` has it; ``runtime``, the program of another
        runtime.
    fds : list of int
        The daemon's socket, then one connection for each attachment, one pidfd for each donor.
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
        control, *others = fds
        attachments = others[: len(args["attachments"])]
        # pidfds of the containers whose namespaces this one shares, by the kind of namespace.
        self._donors = dict(zip(args.get("donors", []), others[len(attachments) :], strict=True))
        self._loop = Loop()
        self._connections = Connections(self._loop, args["run_dir"], self._handle)
        self._connections.add(socket.socket(fileno=control))
        self._waiting = attachments
        self._timings = {"received": received_s}
        self._execs = Execs(self._loop, self._tell)
        self._launcher: Launcher | None = None
        self._init: Supervised | None = None
        self._tree: CgroupTree | None = None
        self._oom = OomWatch(self._loop, lambda: self._tell({"type": "oom"}))
        self._cgroup_path = ""
        self._mount_namespace = -1
        self._started_ns = 0
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
        spec = load_spec(self._args["bundle"])
        with Step("bundle", self._args["run_dir"]):
            self._connections.listen()
        self._make_cgroup(spec)
        launcher = self._make_launcher(spec)
        self._launcher = self._execs.launcher = launcher
        stdio, pipes = self._make_stdio()
        streams = pipes.theirs if pipes else [-1, -1, -1]
        self._init = launcher.launch_first(stdio, streams, self)
        if pipes:
            pipes.close_theirs()
            stdio.connect_pipes(pipes.stdin, pipes.sources)
        self._timings["forked"] = time.monotonic()

    def _make_launcher(self, spec: Spec) -> Launcher:
        if self._args.get("proot"):
            return Traced(self._loop, self._args, spec)
        kind = ForeignLauncher if self._args.get("runtime") else Namespaced
        return kind(
            self._loop,
            self._args,
            spec,
            tree=self._tree,
            cgroup_path=self._cgroup_path,
            program=load_filter(self._args["bundle"], spec),
            donors=self._donors,
        )

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
        stdio.on_detach = self._detached
        for fd, request in zip(self._waiting, args["attachments"], strict=True):
            stdio.attach(fd, request)
        self._waiting = []
        return stdio, None if terminal else Pipes(has_input=args["open_stdin"])

    def _make_cgroup(self, spec: Spec) -> None:
        path = spec["linux"].get("cgroupsPath", "")
        if path:
            with Step("cgroup"):
                tree = detect()
                # Another runtime makes it itself.
                if not self._args.get("runtime"):
                    tree.create(path, spec["linux"].get("resources", {}))
                    if spec["linux"].get("resources", {}).get("memory"):
                        self._oom.start(tree, path)
            self._tree, self._cgroup_path = tree, path
        self._timings["cgroup"] = time.monotonic()

    def _detached(self) -> None:
        self._tell({"type": "detached"})

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
        if self._launcher is not None:
            self._launcher.started()
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
            "oom_killed": self._was_oom_killed(),
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

    def _was_oom_killed(self) -> bool:
        return bool(self._tree and self._tree.oom_kills(self._cgroup_path)) or self._oom.has_seen

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
                self._kill(init, message)
            case "watch_memory" if self._tree:
                self._oom.start(self._tree, self._cgroup_path)
            case "resize" if "exec_id" in message:
                self._execs.resize(message["exec_id"], message["rows"], message["columns"])
            case "resize" if init:
                init.stdio.resize(message["rows"], message["columns"])
            case "state" if init:
                self._connections.send(sock, self._state(init))
            case "share":
                self._connections.send(sock, {"type": "shared"}, self._shared())
            case _:
                for fd in fds:
                    os.close(fd)

    def _state(self, init: Supervised) -> dict[str, Any]:
        return {
            "type": "state",
            "pid": init.pid,
            "started_ns": self._started_ns,
            "exit_code": init.exit_code,
            "oom_killed": self._was_oom_killed(),
            "execs": self._execs.pids,
        }

    def _shared(self) -> tuple[int, ...]:
        """Return a pidfd of the first process, while it runs."""
        init = self._init
        return (init.pidfd,) if init is not None and init.is_running else ()

    def _kill(self, init: Supervised, message: dict[str, Any]) -> None:
        init.kill(message["signal"])
        if message.get("wakes", True):
            self._thaw()

    def _thaw(self) -> None:
        """Let a paused container run, so that it can act on a signal."""
        if self._tree is None:
            return
        was_frozen = self._tree.is_frozen(self._cgroup_path)
        self._tree.thaw(self._cgroup_path)
        if was_frozen:
            self._tell({"type": "thawed"})

    def _tell(self, message: dict[str, Any]) -> None:
        self._connections.broadcast(message)

    # --------------------------------------------------------------------------------------- end

    def _clean_up(self) -> None:
        """Give back what outlives a process: the cgroup, the socket; with us the rest goes."""
        if self._init is not None and self._init.exit_code is None:
            os.waitpid(self._init.pid, 0)
        if self._launcher is not None:
            self._launcher.close()
        if self._mount_namespace >= 0:
            os.close(self._mount_namespace)
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
