"""Options of isolation without root: each works, or is refused with the reason and a remedy."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container
from docker.types import Ulimit

from tests.support.accounts import Account, unprivileged_account
from tests.support.engine import EngineUnderTest, running_engine
from tests.support.probes import why_not
from tests.support.registry import RunningRegistry

pytestmark = [pytest.mark.needs_rootless, pytest.mark.needs_registry, pytest.mark.needs_busybox]


@pytest.fixture(scope="module", params=[True, False], ids=["sub-ids", "one id"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    for need in ("needs_rootless", *(["needs_newuidmap"] if request.param else [])):
        if reason := why_not(need):
            pytest.skip(f"{need}: {reason}")
    with unprivileged_account(has_sub_ids=request.param) as made:
        yield made


@pytest.fixture(scope="module")
def engine(account: Account, registry: RunningRegistry) -> Iterator[EngineUnderTest]:
    with running_engine(mirrors=[registry.url], account=account) as started:
        started.connect().images.pull("busybox", tag="latest")
        yield started


@pytest.fixture
def client(engine: EngineUnderTest) -> docker.DockerClient:
    return engine.connect()


def execute(container: Container, command: list[str]) -> str:
    output = container.exec_run(command).output
    assert isinstance(output, bytes)
    return output.decode()


def run(client: docker.DockerClient, script: str, **options: Any) -> str:
    output = client.containers.run("busybox", ["sh", "-c", script], remove=True, **options)
    return bytes(output).decode()


def has_sub_ids(client: docker.DockerClient) -> bool:
    status = client.api.get(f"{client.api.base_url}/dockerlab/status").json()
    return str(status["tier"]) == "rootless"


def test_privileged_is_all_over_what_is_the_users(client: docker.DockerClient) -> None:
    script = "grep -E 'CapEff|Seccomp:' /proc/self/status; mount -t tmpfs none /tmp && echo mounted"
    output = run(client, script, privileged=True)

    assert "Seccomp:\t0" in output
    assert "mounted" in output


def test_limits_kernel_parameters_and_memory_work(client: docker.DockerClient) -> None:
    script = """
        ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/domainname
        cat /proc/self/oom_score_adj; grep -c ' /new tmpfs' /proc/mounts
        ls -l /proc/1/exe 2>&1 || true
    """
    output = run(
        client,
        script,
        ulimits=[Ulimit(name="nofile", soft=50, hard=60)],
        sysctls={"net.ipv4.ip_forward": "1"},
        domainname="domain",
        oom_score_adj=500,
        tmpfs={"/new": "size=1m"},
        init=True,
    ).split()

    assert output[:5] == ["60", "1", "domain", "500", "1"]
    assert "denied" in output


def test_a_device_is_the_hosts_own(client: docker.DockerClient) -> None:
    script = "stat -c '%t %T' /dev/mine; echo x > /dev/mine"

    assert run(client, script, devices=["/dev/null:/dev/mine"]).split() == ["1", "3"]
    for options in ({"devices": ["/dev/null:/dev/x:r"]}, {"device_cgroup_rules": ["c 1:3 r"]}):
        with pytest.raises(APIError, match="only root may set; give the device"):
            run(client, "true", **options)


def test_network_and_memory_of_another_container(client: docker.DockerClient) -> None:
    command = ["sh", "-c", "echo there > /dev/shm/file; sleep 60"]
    donor = client.containers.run("busybox", command, detach=True, ipc_mode="shareable")
    script = "while ! cat /dev/shm/file; do sleep 0.1; done; readlink /proc/self/ns/net; hostname"
    mode = f"container:{donor.id}"
    output = run(client, script, ipc_mode=mode, network_mode=mode).split()
    theirs = execute(donor, ["readlink", "/proc/self/ns/net"]).strip()

    assert output == ["there", theirs, str(donor.id)[:12]]
    donor.remove(force=True)


def test_memory_and_names_of_the_host(client: docker.DockerClient) -> None:
    assert "/dev/shm" in run(client, "grep shm /proc/mounts", ipc_mode="host")
    assert run(client, "hostname", uts_mode="host").strip()


def test_processes_of_others_need_a_cgroup(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match=r"needs a cgroup .* have root hand you"):
        run(client, "true", pid_mode="host")


def test_groups_need_ids(client: docker.DockerClient) -> None:
    if not has_sub_ids(client):
        with pytest.raises(APIError, match="one id"):
            run(client, "true", group_add=["5"])
        return
    assert run(client, "id -G", group_add=["5"]).split() == ["0", "5"]
    with pytest.raises(APIError, match="/etc/subgid"):
        run(client, "true", group_add=["99999999"])


def test_what_lies_above_the_users_own_is_refused(client: docker.DockerClient) -> None:
    with pytest.raises(APIError, match=r"hard limit of .* ask for at most"):
        run(client, "true", ulimits=[Ulimit(name="nofile", soft=1, hard=10**7)])
    with pytest.raises(APIError, match="CAP_SYS_RESOURCE on the host"):
        run(client, "true", oom_score_adj=-500)


@pytest.mark.needs_cgroup
def test_processes_of_others_are_shared_in_a_cgroup_that_was_handed_over(
    account: Account, registry: RunningRegistry
) -> None:
    parent = f"/dockerlab-shared-{os.getpid()}"
    folder = Path(f"/sys/fs/cgroup/pids{parent}")
    if not folder.parent.is_dir():
        pytest.skip("needs_cgroup: the hierarchies of cgroup v1 are not mounted")
    engine = EngineUnderTest(mirrors=[registry.url], account=account)
    config = account.home / ".config/dockerlab/config.toml"
    try:
        folder.mkdir()
        os.chown(folder, account.uid, account.gid)
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(f'cgroup_parent = "{parent}"\n')
        config.chmod(0o644)
        for path in (config.parent, config.parent.parent):
            path.chmod(0o755)
        engine.start()
        client = engine.connect()
        client.images.pull("busybox", tag="latest")
        _check_shared_processes(client)
        assert not [path for path in folder.iterdir() if path.is_dir()]
    finally:
        engine.close()
        config.unlink(missing_ok=True)
        folder.rmdir()


def _check_shared_processes(client: docker.DockerClient) -> None:
    script = """
        ls -d /proc/1 /proc/$PPID; cat /proc/interrupts
        echo 1 2>&1 > /proc/sys/kernel/domainname
        setsid sleep 4712 & sleep 0.2
    """
    output = run(client, script, pid_mode="host")
    assert "/proc/1\n" in output
    assert "CPU0" not in output
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert b"sleep\x004712\x00" not in commands
    donor = client.containers.run("busybox", ["sleep", "60"], detach=True)
    output = run(client, "ps", pid_mode=f"container:{donor.id}")
    assert "sleep 60" in output
    donor.remove(force=True)
