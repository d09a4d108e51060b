"""The doctor's rows on features are what engines do: tried in every tier, and compared.

Each engine and its doctor are one user with the same things taken away.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container
from docker.types import Mount, Ulimit

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime.features import FEATURES
from dockerlab.runtime.tier import LOOK_ONLY, ONE_ID, PTRACE, ROOTFUL, ROOTLESS
from tests.hosts import taking
from tests.support.accounts import Account, unprivileged_account
from tests.support.engine import running_engine
from tests.support.probes import why_not
from tests.support.registry import RunningRegistry
from tests.support.tiers import deny_user_namespaces

pytestmark = [pytest.mark.needs_registry, pytest.mark.needs_busybox]

Client = docker.DockerClient
Try = Callable[[Client], object]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How an engine and its doctor are started."""

    needs: tuple[str, ...]
    is_root: bool = False
    has_sub_ids: bool = False
    before_exec: Callable[[], None] | None = None
    environ: tuple[tuple[str, str], ...] = ()


def _close_cgroups() -> None:
    syscalls.unshare(constants.CLONE_NEWNS)
    syscalls.mount("", "/", "", constants.MS_REC | constants.MS_PRIVATE, "")
    taking.cgroups_to_write()


ROOT = ("needs_root", "needs_namespaces", "needs_overlay")
KINDS = {
    ROOTFUL: Kind(needs=ROOT, is_root=True),
    f"{ROOTFUL}, cgroups read-only": Kind(needs=ROOT, is_root=True, before_exec=_close_cgroups),
    ROOTLESS: Kind(needs=("needs_rootless", "needs_newuidmap"), has_sub_ids=True),
    ONE_ID: Kind(needs=("needs_rootless",)),
    PTRACE: Kind(needs=("needs_rootless", "needs_proot"), before_exec=deny_user_namespaces),
    LOOK_ONLY: Kind(
        needs=("needs_rootless",), before_exec=deny_user_namespaces, environ=(("PATH", "/nowhere"),)
    ),
}


def run(client: Client, *command: str, **options: Any) -> bytes:
    return bytes(
        client.containers.run("busybox", list(command) or ["true"], remove=True, **options)
    )


def ran(**options: Any) -> Try:
    return lambda client: run(client, **options)


def lives(client: Client, use: Callable[[Container], object], **options: Any) -> None:
    """Use a container that runs; leave nothing of it."""
    container = client.containers.create("busybox", ["sleep", "60"], **options)
    try:
        container.start()
        use(container)
    finally:
        container.remove(force=True)


def living(use: Callable[[Container], object], **options: Any) -> Try:
    return lambda client: lives(client, use, **options)


def joining(client: Client, *modes: str) -> None:
    def use(container: Container) -> None:
        run(client, **dict.fromkeys(modes, f"container:{container.id}"))

    lives(client, use, ipc_mode="shareable")


def executing(*, privileged: bool) -> Try:
    def use(container: Container) -> None:
        assert container.exec_run(["true"], privileged=privileged).exit_code == 0

    return living(use)


def copy(client: Client) -> None:
    container = client.containers.create("busybox", ["true"])
    try:
        for piece in container.get_archive("/bin/busybox")[0]:
            assert piece
        container.diff()
    finally:
        container.remove()


def volume(client: Client) -> None:
    try:
        run(client, volumes=["kept:/kept"])
    finally:
        for left in client.containers.list(all=True):
            left.remove(force=True)
        client.volumes.get("kept").remove()


def usage(container: Container) -> None:
    assert container.top()["Processes"]
    counted: Any = container.stats(stream=False)
    assert counted["pids_stats"]["current"]


def rename_and_restart(container: Container) -> None:
    container.rename("other")
    container.restart(timeout=0)


def pause(container: Container) -> None:
    container.pause()
    container.unpause()


def look_at_terminal(client: Client) -> None:
    assert run(client, "tty", tty=True).startswith(b"/dev/")


FILTER = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []})
RUNTIME = "runc" if shutil.which("runc", path="/usr/local/sbin:/usr/sbin:/usr/bin") else "crun"
TRIED: dict[str, Try] = {
    "lives": living(rename_and_restart),
    "terminals": look_at_terminal,
    "exec": executing(privileged=False),
    "exec_privileged": executing(privileged=True),
    "restarts": living(lambda _: None, restart_policy={"Name": "always"}),
    "health": living(lambda _: None, healthcheck={"test": ["CMD", "true"]}),
    "logs": ran(log_config={"Type": "json-file", "Config": {"max-size": "1m"}}),
    "usage": living(usage),
    "user": ran(user="1000"),
    "groups": ran(group_add=["5"]),
    "hostname": ran(hostname="box"),
    "network_host": ran(network_mode="host"),
    "network_none": ran(network_mode="none"),
    "host_namespaces": ran(ipc_mode="host", uts_mode="host"),
    "joined": lambda client: joining(client, "ipc_mode", "network_mode"),
    "pid_host": ran(pid_mode="host"),
    "pid_joined": lambda client: joining(client, "pid_mode"),
    "init": ran(init=True),
    "capabilities": ran(cap_add=["NET_ADMIN"], cap_drop=["CHOWN"]),
    "privileged": ran(privileged=True),
    "seccomp": ran(security_opt=[f"seccomp={FILTER}"]),
    "privileges": ran(security_opt=["no-new-privileges"]),
    "profiles": ran(security_opt=["apparmor=custom", "label=level:custom"]),
    "read_only": ran(read_only=True),
    "tmpfs": ran(tmpfs={"/memory": ""}),
    "shm": ran(shm_size="1m"),
    "ulimits": ran(ulimits=[Ulimit(name="nofile", soft=50, hard=60)]),
    "sysctls": ran(sysctls={"net.ipv4.ip_forward": "1"}),
    "devices": ran(devices=["/dev/null:/dev/mine"]),
    "device_rules": ran(device_cgroup_rules=["c 1:3 r"]),
    "binds": ran(volumes=["/usr:/host"]),
    "read_only_binds": ran(mounts=[Mount("/host", "/usr", type="bind", read_only=True)]),
    "volumes": volume,
    "copies": copy,
    "pause": living(pause),
    "memory": ran(mem_limit="64m"),
    "swap": ran(mem_limit="64m", memswap_limit="128m"),
    "reservation": ran(mem_reservation="32m"),
    "swappiness": ran(mem_limit="64m", mem_swappiness=10),
    "oom_kill": ran(mem_limit="64m", oom_kill_disable=True),
    "oom_score": ran(oom_score_adj=-500),
    "cpu_quota": ran(nano_cpus=500_000_000),
    "cpu_shares": ran(cpu_shares=100),
    "cpuset": ran(cpuset_cpus="0"),
    "pids": ran(pids_limit=20),
    "runtimes": ran(runtime=RUNTIME),
}
# A limit of disks needs one, which not every machine has; `test_resources.py` tries it.
UNTRIED = {"blkio"}


@dataclass(frozen=True, kw_only=True)
class Tried:
    """An engine, and what the doctor says of its host."""

    tier: str
    client: Client
    report: dict[str, Any]


@pytest.fixture(scope="module", params=KINDS)
def tried(request: pytest.FixtureRequest, registry: RunningRegistry) -> Iterator[Tried]:
    kind = KINDS[request.param]
    for need in kind.needs:
        if reason := why_not(need):
            pytest.skip(f"{need}: {reason}")
    if kind.is_root:
        yield from _tried(request.param, kind, registry, None)
        return
    with unprivileged_account(has_sub_ids=kind.has_sub_ids) as account:
        yield from _tried(request.param, kind, registry, account)


def _tried(
    tier: str, kind: Kind, registry: RunningRegistry, account: Account | None
) -> Iterator[Tried]:
    environ = dict(kind.environ)
    with running_engine(
        mirrors=[registry.url],
        environ=environ,
        account=account,
        before_exec=kind.before_exec,
    ) as started:
        client = started.connect()
        client.images.pull("busybox", tag="latest")
        done = subprocess.run(
            [
                account.python if account else sys.executable,
                *("-m", "dockerlab.doctor", "--json", "--root", str(started.root)),
            ],
            capture_output=True,
            check=True,
            preexec_fn=kind.before_exec,
            env=(account.environ if account else dict(os.environ)) | environ,
            **(account.identity if account else {}),
        )
        yield Tried(tier=tier, client=client, report=json.loads(done.stdout))


def test_every_feature_is_tried() -> None:
    assert {feature.name for feature in FEATURES} == {*TRIED, *UNTRIED}


def test_the_tier_is_the_one_that_was_meant(tried: Tried) -> None:
    assert tried.report["tier"]["name"] == tried.tier.removesuffix(", cgroups read-only")


@pytest.mark.parametrize("name", TRIED)
def test_what_the_doctor_says_is_what_the_engine_does(tried: Tried, name: str) -> None:
    row = next(row for row in tried.report["features"] if row["feature"] == name)
    refusal = ""
    try:
        TRIED[name](tried.client)
    except APIError as refused:
        refusal = str(refused.explanation)

    assert row["ok"] == (not refusal), (row, refusal)
    assert row["reason"]
    assert bool(row["remedy"]) == bool(refusal)
