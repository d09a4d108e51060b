"""A real dockerd with folders of its own, to compare with; the host's Docker is not touched."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.service import (
    RunningService,
    end_service,
    remove_containers,
    wait_until_it_answers,
)

__all__ = ["remove_cgroups", "running_dockerd", "why_no_dockerd"]

_STOP_TIMEOUT_S = 60.0


def why_no_dockerd() -> str:
    """Return why no dockerd can be started here; '' when one can."""
    if os.geteuid() != 0:
        return f"uid {os.geteuid()} is not root"
    missing = [
        name for name in ("dockerd", "containerd", "runc", "unshare") if not shutil.which(name)
    ]
    return f"{', '.join(missing)} is not installed (apt install docker.io)" if missing else ""


@contextmanager
def running_dockerd(mirrors: Sequence[str] = (), *, subnet: str = "") -> Iterator[RunningService]:
    """Run a dockerd, with its own containerd, until the block ends; its images go with it.

    It writes no firewall rules: nothing leads from its containers out of this machine.

    Parameters
    ----------
    mirrors : sequence of str
        Mirrors of Docker Hub, as URLs.
    subnet : str
        ``address/prefix`` of a default bridge, which is made and removed here. Without one
        containers need ``--network none`` or ``host``.
    """
    # A short path: containerd puts sockets below it, and their paths hold 107 bytes.
    base = Path(tempfile.mkdtemp(prefix="dd-"))
    cgroup = f"/{base.name}"
    bridge = base.name if subnet else "none"
    options = [
        f"--data-root={base}/data",
        f"--exec-root={base}/exec",
        f"--pidfile={base}/pid",
        f"--host=unix://{base}/docker.sock",
        f"--cgroup-parent={cgroup}",
        f"--bridge={bridge}",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
        *(f"--registry-mirror={mirror}" for mirror in mirrors),
    ]
    if subnet:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", subnet, "dev", bridge)
    with (base / "log").open("wb") as log:
        # In a mount namespace of its own, so that none of its mounts stays on the host.
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "slave", "dockerd", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = RunningService(
        name="dockerd", socket=base / "docker.sock", log=base / "log", pid=process.pid
    )
    try:
        wait_until_it_answers(process, running)
        yield running
        remove_containers(running)
    finally:
        end_service(process, _STOP_TIMEOUT_S)
        if subnet:
            _ip("link", "delete", bridge)
        remove_cgroups(cgroup)
        shutil.rmtree(base, ignore_errors=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=_STOP_TIMEOUT_S)


def remove_cgroups(name: str) -> None:
    """Remove a top cgroup and what is below it from every hierarchy; all must be empty."""
    base = Path("/sys/fs/cgroup")
    for hierarchy in (base, *base.iterdir()):
        top = hierarchy / name.lstrip("/")
        if top.is_dir() and (hierarchy / "cgroup.procs").exists():
            for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                folder.rmdir()
            top.rmdir()
