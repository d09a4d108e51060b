"""What the tests' other engines have in common: a process that answers on a socket, and its end."""

import os
import signal
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import docker

__all__ = ["RunningService", "end_service", "remove_containers", "wait_until_it_answers"]

_START_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningService:
    """A started engine. `log` is what it wrote so far, in a file."""

    name: str
    socket: Path
    log: Path
    pid: int

    @property
    def address(self) -> str:
        """The socket as ``DOCKER_HOST`` wants it."""
        return f"unix://{self.socket}"


def wait_until_it_answers(process: subprocess.Popen[bytes], running: RunningService) -> None:
    """Return when the socket takes connections; raise RuntimeError with the end of the log."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(running.socket))
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                message = f"{running.name} did not start: {running.log.read_text()[-2000:]}"
                raise RuntimeError(message) from None
            time.sleep(0.05)
        else:
            return


def remove_containers(running: RunningService) -> None:
    """Remove every container, also those that run."""
    with closing(docker.DockerClient(base_url=running.address, version="1.41")) as client:
        for container in client.containers.list(all=True):
            container.remove(force=True)


def end_service(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Ask the process to end; after `timeout_s` seconds kill it with the session begun for it."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        # What it has started, as containerd and its shims, is in that session too.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
