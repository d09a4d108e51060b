"""Our bundles under runc and crun."""

import shutil
from pathlib import Path

import docker
import pytest
from docker.errors import APIError

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.fixtures import DockerCli

_PRESENT = [name for name in ("runc", "crun") if shutil.which(name)]

pytestmark = pytest.mark.needs_podman  # which brings both


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


@pytest.fixture(params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name not in _PRESENT:
        pytest.skip(f"needs_podman: {name} is not installed")
    return name


def test_output_status_and_user_are_as_with_ours(docker_cli: DockerCli, runtime: str) -> None:
    script = "echo out; echo err >&2; id -u; cat /proc/1/comm; exit 7"
    options = ("--rm", "--runtime", runtime, "--user", "nobody", "-m", "64m")

    done = docker_cli("run", *options, "busybox", "sh", "-c", script)

    assert done.returncode == 7, done.stderr
    assert done.stdout == "out\n65534\nsh\n"
    assert done.stderr == "err\n"


def test_what_cannot_be_executed_gives_127(docker_cli: DockerCli, runtime: str) -> None:
    done = docker_cli("run", "--rm", "--runtime", runtime, "busybox", "nosuch")

    assert done.returncode == 127


def test_exec_kill_logs_and_a_terminal(
    client: docker.DockerClient, engine: EngineUnderTest, runtime: str
) -> None:
    script = "trap 'echo asked; exit 3' TERM; tty; while :; do sleep 0.05; done"
    container = client.containers.create("busybox", ["sh", "-c", script], runtime=runtime, tty=True)
    container.start()
    wait_until(lambda: b"/dev/pts/0" in container.logs(), "the program writes")

    code, output = container.exec_run(["sh", "-c", "ps -o pid,comm; exit 5"])
    container.stop(timeout=20)

    container.reload()
    assert code == 5
    assert b"    1 sh" in output
    assert container.attrs["HostConfig"]["Runtime"] == runtime
    assert container.attrs["State"]["ExitCode"] == 3
    assert container.logs().endswith(b"asked\r\n")
    container.remove()
    monitor_dir = engine.runtime_dir / str(container.id)[:12]
    wait_until(lambda: not monitor_dir.exists(), "the monitor is gone")
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{container.id}*"))


def test_info_lists_them_and_others_are_refused(client: docker.DockerClient) -> None:
    assert set(_PRESENT) <= set(client.info()["Runtimes"])

    with pytest.raises(APIError, match="unknown or invalid runtime name: nosuch"):
        client.containers.create("busybox", ["true"], runtime="nosuch")
