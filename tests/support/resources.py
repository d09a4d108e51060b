"""What tests of limits, pauses and usage ask of containers and of the kernel."""

from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.support.engine import recorded_events

__all__ = ["COUNT", "actions", "control", "cpu_time", "run", "state"]

# Never ends, and never waits.
COUNT = "i=0; while :; do i=$((i+1)); echo $i; done > /dev/null"


def run(client: docker.DockerClient, *command: str, **options: Any) -> Container:
    """Start a container of busybox that sleeps, or does what it is told."""
    words = list(command) or ["sleep", "600"]
    return client.containers.run("busybox", words, detach=True, **options)


def state(client: docker.DockerClient, container: Container) -> dict[str, Any]:
    """Return its state now."""
    found: dict[str, Any] = client.api.inspect_container(str(container.id))["State"]
    return found


def actions(client: docker.DockerClient, container: Container) -> list[str]:
    """Return what happened to it, oldest first."""
    filters = {"container": [str(container.id)]}
    return [event["Action"] for event in recorded_events(client, since=0, filters=filters)]


def control(container: Container, controller: str, name: str) -> str:
    """Return a control file of its cgroup; skip where there is no cgroup v1."""
    hierarchy = Path("/sys/fs/cgroup") / controller
    if not (hierarchy / "cgroup.procs").exists() or (hierarchy.parent / "cgroup.procs").exists():
        pytest.skip("needs_cgroup: the hierarchies of cgroup v1 are not mounted")
    path = hierarchy / "dockerlab" / str(container.id) / name
    return path.read_text(encoding="ascii").strip()


def cpu_time(container: Container) -> int:
    """Return the time on the CPU of its first process, in ticks."""
    container.reload()
    pid = container.attrs["State"]["Pid"]
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()
    return int(fields[13]) + int(fields[14])
