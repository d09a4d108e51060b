"""A real `podman system service` with stores of its own; the host's Podman is not touched."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.support.engine import find_holders, wait_until

__all__ = ["RunningPodman", "running_podman", "why_no_podman"]

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0

# No network; and limits below the service's own, for its default of 1048576 is more than root may
# set where it lacks CAP_SYS_RESOURCE.
_CONFIGURATION = """[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPodman:
    """A started service. `log` is what it wrote so far, in a file."""

    socket: Path
    log: Path
    pid: int

    @property
    def address(self) -> str:
        """The socket as ``DOCKER_HOST`` wants it."""
        return f"unix://{self.socket}"


def why_no_podman() -> str:
    """Return why no Podman service can be started here; '' when one can."""
    if os.geteuid() != 0:
        return f"uid {os.geteuid()} is not root"
    missing = [name for name in ("podman", "conmon", "runc", "unshare") if not shutil.which(name)]
    return f"{', '.join(missing)} is not installed (apt install podman)" if missing else ""


@contextmanager
def running_podman(registries: Sequence[str] = ()) -> Iterator[RunningPodman]:
    """Run a Podman service until the block ends; its images and containers go with it.

    Parameters
    ----------
    registries : sequence of str
        ``host:port`` of registries that it may ask over plain HTTP.
    """
    base = Path(tempfile.mkdtemp(prefix="pd-"))
    # Where %engine looks for Podman's socket, when XDG_RUNTIME_DIR is this folder.
    path = base / "podman" / "podman.sock"
    path.parent.mkdir()
    insecure = (f'[[registry]]\nlocation = "{name}"\ninsecure = true\n' for name in registries)
    (base / "registries.conf").write_text("\n".join(insecure))
    (base / "containers.conf").write_text(_CONFIGURATION)
    options = [
        f"--root={base}/root",
        f"--runroot={base}/run",
        f"--tmpdir={base}/tmp",
        "--storage-driver=overlay",
        # crun 1.8 refuses a host with both versions of cgroups.
        "--runtime=runc",
        "--cgroup-manager=cgroupfs",
        "--events-backend=none",
    ]
    with (base / "log").open("wb") as log:
        # In a mount namespace of its own, so that none of its mounts stays on the host.
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation", "slave"),
                *("podman", *options, "system", "service", "--time=0", f"unix://{path}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={
                **os.environ,
                "CONTAINERS_REGISTRIES_CONF": str(base / "registries.conf"),
                "CONTAINERS_CONF": str(base / "containers.conf"),
            },
        )
    running = RunningPodman(socket=path, log=base / "log", pid=process.pid)
    try:
        _wait_until_it_answers(process, running)
        try:
            yield running
        finally:
            _remove_containers(running)
    finally:
        _stop(process)
        # What cleans up behind a container is a process of its own, and the service does not wait.
        wait_until(lambda: not find_holders([base]), "the helpers of podman end")
        _remove_cgroups()
        shutil.rmtree(base, ignore_errors=True)


def _wait_until_it_answers(process: subprocess.Popen[bytes], running: RunningPodman) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(running.socket))
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                message = f"podman did not start: {running.log.read_text()[-2000:]}"
                raise RuntimeError(message) from None
            time.sleep(0.05)
        else:
            return


def _remove_containers(running: RunningPodman) -> None:
    with closing(docker.DockerClient(base_url=running.address, version="1.41")) as client:
        for container in client.containers.list(all=True):
            container.remove(force=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _remove_cgroups() -> None:
    """Remove the parent of its containers' cgroups where it is empty; another Podman may use it."""
    for folder in Path("/sys/fs/cgroup").glob("*/libpod_parent"):
        for part in (*folder.glob("*"), folder):
            if part.is_dir():
                with suppress(OSError):
                    part.rmdir()
