"""A real engine for tests: the daemon in its foreground form, on a root and a socket of its own.

Everything a test needs to hurt it (kill, restart) and to clean up behind it, also when it was
killed. Nothing here imports the engine: tests speak to it as clients do.
"""

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from tests.support.accounts import Account

__all__ = [
    "PATIENCE",
    "EngineUnderTest",
    "find_holders",
    "recorded_events",
    "running_engine",
    "wait_until",
]

# Above 1 where every instruction is emulated.
PATIENCE = float(os.environ.get("DOCKERLAB_TEST_PATIENCE", "1"))
READY_TIMEOUT_S = 30.0 * PATIENCE
STOP_TIMEOUT_S = 20.0 * PATIENCE


def _is_network_service(pid: int, mark: str = "") -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile
        return False
    return b"dockerlab.network" in words and mark.encode() in (*words, b"")


class EngineUnderTest:
    """One data root with, most of the time, a daemon over it.

    Parameters
    ----------
    mirrors : sequence of str
        Mirrors of docker.io that the daemon is started with.
    environ : dict
        Added to the daemon's environment.
    account : Account
        The unprivileged user that the daemon runs as; by default the one of the tests.
    before_exec : callable
        Takes something away from the daemon's host, in the forked process (`tests.hosts.taking`).
    """

    def __init__(
        self,
        mirrors: Sequence[str] = (),
        environ: dict[str, str] | None = None,
        account: Account | None = None,
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        # A short path: a socket's holds 107 bytes, and pytest's own folders are long.
        self.base = Path(tempfile.mkdtemp(prefix="dl-"))
        self.account = account
        if account is not None:
            os.chown(self.base, account.uid, account.gid)
        self.root = self.base / "root"
        self.socket = self.base / "engine.sock"
        self.mirrors = list(mirrors)
        self._before_exec = before_exec
        self._environ = environ or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._has_started = False
        self._clients: list[docker.DockerClient] = []

    @property
    def address(self) -> str:
        """The socket as ``DOCKER_HOST`` wants it."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._running().pid

    @property
    def runtime_dir(self) -> Path:
        """Where the daemon keeps the sockets of its monitors (docs/architecture.md)."""
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]
        if self.account is not None:
            return Path(tempfile.gettempdir()) / f"dockerlab-{self.account.uid}" / name
        if os.geteuid() == 0:
            return Path("/run/dockerlab") / name
        fallback = Path(tempfile.gettempdir()) / f"dockerlab-{os.geteuid()}"
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        return (Path(runtime) / "dockerlab" if runtime else fallback) / name

    def start(self) -> None:
        """Start the daemon and return when it listens; raise RuntimeError with its log."""
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_S)
        account = self.account
        command = [account.python if account else sys.executable, "-m", "dockerlab.daemon"]
        command += ["--foreground"]
        command += ["--root", str(self.root), "--socket", str(self.socket)]
        for mirror in self.mirrors:
            command += ["--mirror", mirror]
        ready, ready_end = os.pipe()
        try:
            with (self.base / "output").open("ab") as output:
                self._process = subprocess.Popen(
                    [*command, "--ready-fd", str(ready_end)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[ready_end],
                    preexec_fn=self._before_exec,  # noqa: PLW1509 - it takes rights away, no locks
                    env=(account.environ if account else os.environ) | self._environ,
                    **(account.identity if account else {}),
                )
            os.close(ready_end)
            self._await_ready(ready)
            self._has_started = True
        finally:
            os.close(ready)

    def connect(self, timeout_s: int = 60) -> docker.DockerClient:
        """Return a new client; `close` closes it."""
        client = docker.DockerClient(base_url=self.address, timeout=timeout_s * int(PATIENCE))
        self._clients.append(client)
        return client

    def kill(self) -> None:
        """``kill -9`` the daemon: no handler runs."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def zygote_pid(self) -> int:
        """Return the process that forks monitors and layer workers."""
        [zygote] = [pid for pid in self._children() if not _is_network_service(pid)]
        return zygote

    def network_service_pid(self) -> int:
        """Return the process that makes links, 0 for none; it may be an earlier daemon's child."""
        for status in Path("/proc").glob("[0-9]*"):
            if _is_network_service(int(status.name), self.runtime_dir.name):
                return int(status.name)
        return 0

    def _children(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in children.split()]

    def stop(self) -> int:
        """End the daemon as a supervisor does (SIGTERM); return its exit status."""
        process = self._running()
        process.terminate()
        try:
            status = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"the daemon did not end on SIGTERM:\n{self.log()}") from None
        self._process = None
        return status

    def close(self) -> None:
        """Remove the containers, end the daemon, and leave nothing on the host."""
        self._close_clients()
        try:
            if not self._has_started:
                return
            if self._process is None or self._process.poll() is not None:
                self.start()
            self._remove_containers()
            self._close_clients()
            self.stop()
        finally:
            self._end_leftovers()
            shutil.rmtree(self.base, ignore_errors=True)
            shutil.rmtree(self.runtime_dir, ignore_errors=True)

    def log(self) -> str:
        """Return what the daemon wrote, its log file and its output, for a failing test."""
        paths = [self.base / "output", self.root / "engine.log"]
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-8000:]}"
            for path in paths
            if path.exists()
        )

    def container_ids(self) -> list[str]:
        """Return the ids of the containers there were: by the engine's events, or its folders."""
        folder = self.root / "containers"
        ids = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if self._process is not None and self._process.poll() is None:
            filters = {"event": ["create"], "type": ["container"]}
            events = recorded_events(self.connect(), since=0, filters=filters)
            ids |= {event["Actor"]["ID"] for event in events}
        return sorted(ids)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the daemon is not running")
        return self._process

    def _await_ready(self, ready: int) -> None:
        readable, _, _ = select.select([ready], [], [], READY_TIMEOUT_S)
        line = os.read(ready, 65536) if readable else b""
        answer: dict[str, Any] = json.loads(line) if line else {"error": "it said nothing"}
        if "error" in answer:
            process = self._running()
            process.kill()
            process.wait()
            self._process = None
            raise RuntimeError(f"the daemon did not start: {answer['error']}\n{self.log()}")

    def _remove_containers(self) -> None:
        for container in self.connect().containers.list(all=True):
            try:
                container.remove(force=True)
            except DockerException as exc:
                if "No such container" not in str(exc):  # --rm may have been quicker
                    raise

    def _close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def _end_leftovers(self) -> None:
        """Kill what a crash left: processes with an open file under our own folders."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pid in find_holders([self.base, self.runtime_dir]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@contextmanager
def running_engine(**options: Any) -> Iterator[EngineUnderTest]:
    """Start an engine for the block, and leave nothing of it; `options` are EngineUnderTest's."""
    started = EngineUnderTest(**options)
    try:
        started.start()
        yield started
    finally:
        # pytest shows captured output with a failure only, which is when the log is wanted.
        print(started.log())  # noqa: T201 - see above
        started.close()


def recorded_events(
    client: docker.DockerClient, *, since: int, filters: dict[str, list[str]]
) -> list[dict[str, Any]]:
    """Return the events up to now. docker-py's own iterator leaves its socket open behind it."""
    params: dict[str, str | float] = {
        "since": since,
        "until": time.time(),
        "filters": json.dumps(filters),
    }
    answer = client.api.get(f"{client.api.base_url}/events", params=params)
    return [json.loads(line) for line in answer.text.splitlines()]


def find_holders(folders: Sequence[Path]) -> list[int]:
    """Return the processes, not this one, that have an open file or socket under `folders`."""
    prefixes = tuple(f"{folder}/" for folder in folders)
    holders = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            links = [str(link.readlink()) for link in (process / "fd").iterdir()]
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if any(link.startswith(prefixes) for link in links):
            holders.append(int(process.name))
    return holders


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """Poll until `condition` is true; raise TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s * PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)
