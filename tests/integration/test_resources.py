"""Limits of containers, their update, and what happens at them, with the real docker client."""

from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError

from tests.support.engine import wait_until
from tests.support.fixtures import DockerCli
from tests.support.resources import actions, control, run, state

pytestmark = [pytest.mark.needs_cgroup, pytest.mark.needs_docker_cli]


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")


def test_memory_gets_as_much_swap_again(client: docker.DockerClient) -> None:
    container = run(client, mem_limit="64m")

    assert container.attrs["HostConfig"]["MemorySwap"] == 128 << 20
    assert control(container, "memory", "memory.memsw.limit_in_bytes") == str(128 << 20)


def test_every_limit_reaches_the_kernel(client: docker.DockerClient) -> None:
    container = run(
        client,
        mem_limit="64m",
        mem_reservation="32m",
        mem_swappiness=7,
        cpu_shares=512,
        cpu_period=50_000,
        cpu_quota=20_000,
        cpuset_cpus="0",
        cpuset_mems="0",
        pids_limit=33,
    )

    assert {
        name: control(container, name.partition(".")[0], name)
        for name in (
            "memory.limit_in_bytes",
            "memory.soft_limit_in_bytes",
            "memory.swappiness",
            "cpu.shares",
            "cpu.cfs_period_us",
            "cpu.cfs_quota_us",
            "cpuset.cpus",
            "cpuset.mems",
            "pids.max",
        )
    } == {
        "memory.limit_in_bytes": str(64 << 20),
        "memory.soft_limit_in_bytes": str(32 << 20),
        "memory.swappiness": "7",
        "cpu.shares": "512",
        "cpu.cfs_period_us": "50000",
        "cpu.cfs_quota_us": "20000",
        "cpuset.cpus": "0",
        "cpuset.mems": "0",
        "pids.max": "33",
    }


def _first_disk() -> tuple[str, str]:
    """Return a disk of this host: its path and its numbers."""
    for disk in sorted(Path("/sys/block").iterdir()):
        if not disk.name.startswith(("loop", "ram", "zram")) and Path(f"/dev/{disk.name}").exists():
            return f"/dev/{disk.name}", (disk / "dev").read_text(encoding="ascii").strip()
    pytest.skip("needs_cgroup: this host has no disk")


def test_disks_are_throttled(client: docker.DockerClient) -> None:
    path, numbers = _first_disk()
    container = run(
        client,
        device_read_bps=[{"Path": path, "Rate": 1 << 20}],
        device_write_iops=[{"Path": path, "Rate": 9}],
    )

    assert container.attrs["HostConfig"]["BlkioDeviceReadBps"] == [{"Path": path, "Rate": 1 << 20}]
    read = control(container, "blkio", "blkio.throttle.read_bps_device")
    assert read == f"{numbers} {1 << 20}"
    assert control(container, "blkio", "blkio.throttle.write_iops_device") == f"{numbers} 9"


def test_update_changes_what_runs_and_what_is_started_again(
    client: docker.DockerClient, docker_cli: DockerCli
) -> None:
    container = run(client, mem_limit="64m", name="grown")

    limits = ["--memory=100m", "--memory-swap=300m", "--cpus=0.5", "--cpuset-cpus=0"]
    assert docker_cli("update", *limits, "--pids-limit=44", "grown").returncode == 0

    def kernels() -> list[str]:
        return [
            control(container, "memory", "memory.limit_in_bytes"),
            control(container, "memory", "memory.memsw.limit_in_bytes"),
            control(container, "pids", "pids.max"),
            control(container, "cpu", "cpu.cfs_quota_us"),
            control(container, "cpuset", "cpuset.cpus"),
            str(len(control(container, "pids", "cgroup.procs").split())),
        ]

    wanted = [str(100 << 20), str(300 << 20), "44", "50000", "0", "1"]
    assert kernels() == wanted
    container.restart(timeout=0)
    assert kernels() == wanted
    container.reload()
    assert container.attrs["HostConfig"]["NanoCpus"] == 500_000_000
    assert "update" in actions(client, container)
    assert docker_cli("update", "--pids-limit", "-1", "grown").returncode == 0
    assert control(container, "pids", "pids.max") == "max"


def test_an_update_that_fails_changes_nothing(client: docker.DockerClient) -> None:
    filler = "dd if=/dev/zero of=/dev/shm/fill bs=1M count=20 2>/dev/null; echo full; sleep 600"
    container = run(client, "sh", "-c", filler, mem_limit="40m", memswap_limit="40m")
    wait_until(lambda: container.logs() == b"full\n", "its memory is full")

    # Less than is in use, and nothing of that can be dropped or swapped.
    with pytest.raises(APIError, match="Cannot update container"):
        container.update(cpu_shares=99, mem_limit="8m", memswap_limit="8m")

    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 40 << 20
    assert container.attrs["HostConfig"]["CpuShares"] == 0
    assert control(container, "memory", "memory.limit_in_bytes") == str(40 << 20)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mem_limit": "32m"}, "update the memoryswap at the same time"),
        ({"cpuset_cpus": "4000"}, "Requested CPUs are not available"),
        ({"mem_limit": 1 << 20, "memswap_limit": -1}, "Minimum memory limit allowed is 6MB"),
        ({"cpu_period": 5}, "CPU cfs period can not be less than 1ms"),
    ],
)
def test_what_an_update_refuses(
    client: docker.DockerClient, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(APIError, match=words):
        run(client).update(**options)


def test_the_end_by_want_of_memory_is_told(client: docker.DockerClient) -> None:
    container = run(client, "tail", "/dev/zero", mem_limit="16m", memswap_limit="16m")

    assert container.wait()["StatusCode"] == 137
    assert state(client, container)["OOMKilled"] is True
    assert actions(client, container) == ["create", "start", "oom", "die"]


@pytest.mark.parametrize("is_limited_later", [False, True])
def test_a_child_that_is_killed_for_memory_is_told_too(
    client: docker.DockerClient, *, is_limited_later: bool
) -> None:
    limits: dict[str, Any] = {"mem_limit": "16m", "memswap_limit": "16m"}
    container = run(client, **({} if is_limited_later else limits))
    if is_limited_later:
        container.update(**limits)
    assert state(client, container)["OOMKilled"] is False

    assert container.exec_run(["sh", "-c", "tail /dev/zero"]).exit_code == 137

    wait_until(lambda: "oom" in actions(client, container), "the event")
    assert state(client, container)["Status"] == "running"
    assert state(client, container)["OOMKilled"] is True
    container.restart(timeout=0)
    assert state(client, container)["OOMKilled"] is False
