"""Limits, pauses and usage in the engine of an ordinary user, with and without a cgroup."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container

from tests.support.accounts import Account, unprivileged_account
from tests.support.engine import running_engine, wait_until
from tests.support.probes import why_not
from tests.support.registry import RunningRegistry
from tests.support.resources import COUNT, cpu_time

pytestmark = [pytest.mark.needs_rootless, pytest.mark.needs_registry, pytest.mark.needs_busybox]

HIERARCHIES = ("memory", "pids", "cpu", "freezer")


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    if reason := why_not("needs_newuidmap"):
        pytest.skip(f"needs_newuidmap: {reason}")
    with unprivileged_account(has_sub_ids=True) as made:
        yield made


@contextmanager
def _engine(account: Account, registry: RunningRegistry) -> Iterator[docker.DockerClient]:
    with running_engine(mirrors=[registry.url], account=account) as started:
        client = started.connect()
        client.images.pull("busybox", tag="latest")
        yield client


@pytest.fixture
def parent(account: Account) -> Iterator[str]:
    """Hand the user a cgroup in the hierarchies of v1."""
    name = f"/dockerlab-resources-{os.getpid()}"
    folders = [Path(f"/sys/fs/cgroup/{each}{name}") for each in HIERARCHIES]
    if not (folders[0].parent / "cgroup.procs").exists():
        pytest.skip("needs_cgroup: the hierarchies of cgroup v1 are not mounted")
    config = account.home / ".config/dockerlab/config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f'cgroup_parent = "{name}"\n', encoding="utf-8")
    config.chmod(0o644)
    for path in (config.parent, config.parent.parent):
        path.chmod(0o755)
    for folder in folders:
        folder.mkdir()
        os.chown(folder, account.uid, account.gid)
    try:
        yield name
    finally:
        config.unlink()
        # A monitor gives its cgroup back a moment after the container's end is told.
        wait_until(lambda: not any(_inner(folder) for folder in folders), "the cgroups are empty")
        for folder in folders:
            folder.rmdir()


def _inner(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


def _counting(client: docker.DockerClient, **options: Any) -> Container:
    return client.containers.run("busybox", ["sh", "-c", COUNT], detach=True, **options)


def test_without_a_cgroup_usage_is_what_proc_gives(
    account: Account, registry: RunningRegistry
) -> None:
    with _engine(account, registry) as client:
        container = _counting(client)
        wait_until(lambda: cpu_time(container) > 1, "it has used a tick")

        stats = client.api.stats(str(container.id), stream=False, one_shot=True)
        table = client.api.top(str(container.id))
        with pytest.raises(APIError, match=r"no cgroup.*cgroup_parent in config\.toml") as pausing:
            container.pause()
        with pytest.raises(APIError, match=r"needs a cgroup|cannot be changed") as updating:
            container.update(cpu_shares=99)

        assert stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0
        assert stats["memory_stats"]["usage"] > 0
        assert stats["pids_stats"]["current"] == 1
        assert [row[-1] for row in table["Processes"]] == [f"sh -c {COUNT}"]
        assert pausing.value.status_code == updating.value.status_code == 501
        assert "No limits: this engine may make no cgroup" in str(client.info()["Warnings"])


@pytest.mark.needs_cgroup
def test_with_a_cgroup_of_its_own_all_of_it_works(
    account: Account, registry: RunningRegistry, parent: str
) -> None:
    with _engine(account, registry) as client:
        container = _counting(client, pids_limit=9)

        container.pause()
        before = cpu_time(container)
        assert container.status == "paused"
        assert cpu_time(container) == before
        container.unpause()
        wait_until(lambda: cpu_time(container) > before, "it runs again")
        container.update(mem_limit="20m", memswap_limit="20m")

        folder = Path(f"/sys/fs/cgroup/memory{parent}/{container.id}")
        limit = (folder / "memory.limit_in_bytes").read_text(encoding="ascii")
        assert int(limit) == 20 << 20
        stats = client.api.stats(str(container.id), stream=False, one_shot=True)
        assert stats["pids_stats"] == {"current": 1, "limit": 9}
        assert stats["memory_stats"]["limit"] == 20 << 20
        assert container.exec_run(["tail", "/dev/zero"]).exit_code == 137
        wait_until(lambda: _is_oom_killed(container), "the kill is told")


def _is_oom_killed(container: Container) -> bool:
    container.reload()
    return bool(container.attrs["State"]["OOMKilled"])
