"""A real `podman system service` with stores of its own; the host's Podman is not touched."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.engine import find_holders, wait_until
from tests.support.service import (
    RunningService,
    end_service,
    remove_containers,
    wait_until_it_answers,
)

__all__ = ["remove_parent_cgroups", "running_podman", "why_no_podman"]

_STOP_TIMEOUT_S = 20.0

# No network; and limits below the service's own, for its default of 1048576 is more than root may
# set where it lacks CAP_SYS_RESOURCE.
_CONFIGURATION = """[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
"""


def why_no_podman() -> str:
    """Return why no Podman service can be started here; '' when one can."""
    if os.geteuid() != 0:
        return f"uid {os.geteuid()} is not root"
    missing = [name for name in ("podman", "conmon", "runc", "unshare") if not shutil.which(name)]
    return f"{', '.join(missing)} is not installed (apt install podman)" if missing else ""


@contextmanager
def running_podman(registries: Sequence[str] = ()) -> Iterator[RunningService]:
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
    running = RunningService(name="podman", socket=path, log=base / "log", pid=process.pid)
    try:
        wait_until_it_answers(process, running)
        try:
            yield running
        finally:
            remove_containers(running)
    finally:
        end_service(process, _STOP_TIMEOUT_S)
        # What cleans up behind a container is a process of its own, and the service does not wait.
        wait_until(lambda: not find_holders([base]), "the helpers of podman end")
        remove_parent_cgroups()
        shutil.rmtree(base, ignore_errors=True)


def remove_parent_cgroups() -> None:
    """Remove the parent of its containers' cgroups where it is empty; another Podman may use it."""
    for folder in Path("/sys/fs/cgroup").glob("*/libpod_parent"):
        for part in (*folder.glob("*"), folder):
            if part.is_dir():
                with suppress(OSError):
                    part.rmdir()
