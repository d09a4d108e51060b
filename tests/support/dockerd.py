"""A real dockerd with folders of its own, to compare with; the host's Docker is not touched."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

__all__ = ["RunningDockerd", "remove_cgroups", "running_dockerd", "why_no_dockerd"]

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDockerd:
    """A started dockerd. `log` is what it wrote so far, in a file."""

    socket: Path
    log: Path
    pid: int

    @property
    def address(self) -> str:
        """The socket as ``DOCKER_HOST`` wants it."""
        return f"unix://{self.socket}"


def why_no_dockerd() -> str:
    """Return why no dockerd can be started here; '' when one can."""
    if os.geteuid() != 0:
        return f"uid {os.geteuid()} is not root"
    missing = [
        name for name in ("dockerd", "containerd", "runc", "unshare") if not shutil.which(name)
    ]
    return f"{', '.join(missing)} is not installed (apt install docker.io)" if missing else ""


@contextmanager
def running_dockerd(mirrors: Sequence[str] = ()) -> Iterator[RunningDockerd]:
    """Run a dockerd, with its own containerd, until the block ends; its images go with it.

    It has no bridge and writes no firewall rules: containers need ``--network none`` or ``host``.

    Parameters
    ----------
    mirrors : sequence of str
        Mirrors of Docker Hub, as URLs.
    """
    # A short path: containerd puts sockets below it, and their paths hold 107 bytes.
    base = Path(tempfile.mkdtemp(prefix="dd-"))
    cgroup = f"/{base.name}"
    options = [
        f"--data-root={base}/data",
        f"--exec-root={base}/exec",
        f"--pidfile={base}/pid",
        f"--host=unix://{base}/docker.sock",
        f"--cgroup-parent={cgroup}",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
        *(f"--registry-mirror={mirror}" for mirror in mirrors),
    ]
    with (base / "log").open("wb") as log:
        # In a mount namespace of its own, so that none of its mounts stays on the host.
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "slave", "dockerd", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = RunningDockerd(socket=base / "docker.sock", log=base / "log", pid=process.pid)
    try:
        _wait_until_it_answers(process, running)
        yield running
        _remove_containers(running)
    finally:
        _stop(process)
        remove_cgroups(cgroup)
        shutil.rmtree(base, ignore_errors=True)


def _wait_until_it_answers(process: subprocess.Popen[bytes], running: RunningDockerd) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(running.socket))
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                message = f"dockerd did not start: {running.log.read_text()[-2000:]}"
                raise RuntimeError(message) from None
            time.sleep(0.05)
        else:
            return


def _remove_containers(running: RunningDockerd) -> None:
    with closing(docker.DockerClient(base_url=running.address, version="1.41")) as client:
        for container in client.containers.list(all=True):
            container.remove(force=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # Its containerd and shims are in the session that was begun for it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def remove_cgroups(name: str) -> None:
    """Remove a top cgroup and what is below it from every hierarchy; all must be empty."""
    base = Path("/sys/fs/cgroup")
    for hierarchy in (base, *base.iterdir()):
        top = hierarchy / name.lstrip("/")
        if top.is_dir() and (hierarchy / "cgroup.procs").exists():
            for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                folder.rmdir()
            top.rmdir()
