"""Limits where cgroup v2 is all there is: what systemd delegates to a user, and who is inside."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError

from dockerlab.oci.runtimespec import Resources
from dockerlab.runtime.cgroups.folder import CgroupError
from dockerlab.runtime.cgroups.v2 import V2Tree
from tests.support.accounts import Account, unprivileged_account
from tests.support.cgroups import UNIFIED, delegated, inside
from tests.support.engine import EngineUnderTest, wait_until
from tests.support.registry import RunningRegistry

pytestmark = [
    pytest.mark.needs_unified,
    pytest.mark.needs_rootless,
    pytest.mark.needs_newuidmap,
    pytest.mark.needs_registry,
    pytest.mark.needs_busybox,
]

LEAF = "dockerlab-engine"


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with unprivileged_account(has_sub_ids=True) as made:
        yield made


@pytest.fixture
def handed(account: Account) -> Iterator[str]:
    with delegated(account.uid, account.gid) as path:
        yield path


@pytest.fixture
def engine(account: Account, registry: RunningRegistry, handed: str) -> Iterator[EngineUnderTest]:
    """An engine of the user's that is not started yet, with its limits in what was handed over."""
    config = account.home / ".config/dockerlab/config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f'cgroup_parent = "{handed}"\n')
    for path in (config, config.parent, config.parent.parent):
        path.chmod(0o755)
    made = EngineUnderTest(mirrors=[registry.url], account=account)
    try:
        yield made
    finally:
        print(made.log())  # noqa: T201 - shown with a failure, which is when it is wanted
        made.close()


def test_a_users_limits_bite_in_what_was_delegated(engine: EngineUnderTest, handed: str) -> None:
    with inside(handed):
        engine.start()
    client = engine.connect()
    show = "cd /sys/fs/cgroup; cat memory.max memory.swap.max pids.max cpu.max cpu.weight"
    options: dict[str, Any] = {
        "mem_limit": "32m",
        "memswap_limit": "64m",
        "pids_limit": 7,
        "nano_cpus": 500_000_000,
        "cpu_shares": 2048,
    }
    output = _run(client, "sh", "-c", f"{show}; echo 1 >pids.max || cat /proc/1/cgroup", **options)
    limit = str(32 << 20)
    assert output.split() == [limit, limit, "7", "50000", "100000", "174", "0::/"]

    hungry = client.containers.run(
        "busybox", ["tail", "/dev/zero"], mem_limit="16m", memswap_limit="16m", detach=True
    )
    assert hungry.wait()["StatusCode"] == 137
    hungry.reload()
    assert hungry.attrs["State"]["OOMKilled"]
    hungry.remove()

    forks = "for i in 1 2 3 4 5 6; do sleep 1 & done; wait"
    many = client.containers.run("busybox", ["sh", "-c", forks], pids_limit=3, detach=True)
    many.wait()
    assert b"can't fork" in many.logs()
    many.remove()

    # The engine made room for its containers, and what they had is gone.
    folder = UNIFIED / handed.strip("/")
    wait_until(
        lambda: [path.name for path in folder.iterdir() if path.is_dir()] == [LEAF],
        "the cgroups of containers go",
    )
    assert str(engine.pid) in (folder / LEAF / "cgroup.procs").read_text().split()


def test_a_killed_container_leaves_no_process_and_no_folder(
    engine: EngineUnderTest, handed: str
) -> None:
    with inside(handed):
        engine.start()
    client = engine.connect()
    script = "sleep 100 & sleep 100; true"
    container = client.containers.run("busybox", ["sh", "-c", script], pids_limit=9, detach=True)
    folder = UNIFIED / handed.strip("/") / str(container.id)
    processes = folder / "cgroup.procs"
    wait_until(lambda: len(processes.read_text().split()) == 3, "its shell and two sleeps run")
    container.kill()
    assert container.wait()["StatusCode"] == 137
    container.remove()
    wait_until(lambda: not folder.exists(), "its cgroup goes")


def test_an_engine_outside_of_what_was_delegated_says_so(engine: EngineUnderTest) -> None:
    engine.start()
    with pytest.raises(APIError, match="started outside of the cgroup that was delegated"):
        _run(engine.connect(), "true", pids_limit=5)


def test_a_controller_that_is_not_delegated_is_named(engine: EngineUnderTest, handed: str) -> None:
    above = (UNIFIED / handed.strip("/")).parent
    (above / "cgroup.subtree_control").write_text("-memory", encoding="ascii")
    with inside(handed):
        engine.start()
    with pytest.raises(APIError, match='controller "memory" is not delegated'):
        _run(engine.connect(), "true", mem_limit="32m")
    assert _run(engine.connect(), "cat", "/sys/fs/cgroup/pids.max", pids_limit=5) == "5\n"


@pytest.mark.parametrize("resources", [{"pids": {"limit": 5}}, {"memory": {"limit": 32 << 20}}])
def test_room_for_limits_is_made_where_we_sit_ourselves(resources: Resources) -> None:
    parent = f"/dockerlab-room-{os.getpid()}"
    tree = V2Tree(str(UNIFIED))
    tree.create(parent, {})
    try:
        with inside(parent):
            tree.create(f"{parent}/box", resources)
            assert tree.processes(f"{parent}/{LEAF}") == [os.getpid()]
            tree.join(f"{parent}/box", 0)
    finally:
        tree.remove(parent)


def test_other_peoples_processes_are_left_where_they_are() -> None:
    parent = f"/dockerlab-room-{os.getpid()}"
    tree = V2Tree(str(UNIFIED))
    tree.create(parent, {})
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        try:
            tree.join(parent, sleeping.pid)
            with pytest.raises(CgroupError, match="has processes of its own"):
                tree.create(f"{parent}/box", {"pids": {"limit": 5}})
            assert tree.processes(parent) == [sleeping.pid]
        finally:
            sleeping.kill()
    tree.remove(parent)


def _run(client: docker.DockerClient, *command: str, **options: Any) -> str:
    output = client.containers.run("busybox", list(command), remove=True, **options)
    return bytes(output).decode()
