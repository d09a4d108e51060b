"""Hosts that give less than this one: what each lacks, and the doctor's report from it.

A real process of this machine is each host: mounts, filters and capabilities are taken away between
fork and exec (`taking`), and `python -m dockerlab.doctor` runs there, under the distribution's own
Python and with nothing but the standard library. Some are containers (`contained`).
"""

import contextlib
import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dockerlab
from tests.hosts import taking
from tests.hosts.contained import ContainedHost, examine_containers
from tests.hosts.report import PYTHON, Report

__all__ = ["HOSTS", "SimulatedHost", "examine"]

_TOOLS = ("newuidmap", "newgidmap")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedHost:
    """One host.

    Parameters
    ----------
    title : str
        As in docs/hosts.md.
    tier : str
        What the doctor has to choose.
    lacks : tuple of str
        Abilities that have to be a "no", among others that follow from them.
    take : callable
        Given the base folder and the data root, takes away; may stay root.
    is_user : bool
        The doctor runs as an ordinary user.
    tools : tuple of str
        Programs on the PATH.
    has_engine : bool
        An engine listens on the socket of DOCKER_HOST.
    """

    title: str
    tier: str
    lacks: tuple[str, ...]
    take: Callable[[Path, Path], None]
    is_user: bool = True
    tools: tuple[str, ...] = _TOOLS
    has_engine: bool = False


def _nothing(_base: Path, _root: Path) -> None:
    pass


def _no_user_namespaces(_base: Path, _root: Path) -> None:
    taking.user_namespaces()


HOSTS: dict[str, SimulatedHost | ContainedHost] = {
    "root": SimulatedHost(title="Root", tier="rootful", lacks=(), take=_nothing, is_user=False),
    "read-only-cgroups": SimulatedHost(
        title="Root, and cgroups are read-only",
        tier="rootful",
        lacks=("cgroups",),
        take=lambda _base, _root: taking.cgroups_to_write(),
        is_user=False,
    ),
    "no-shm": SimulatedHost(
        title="Root, and there is no /dev/shm",
        tier="rootful",
        lacks=("shared_memory",),
        take=lambda _base, _root: taking.shared_memory(),
        is_user=False,
    ),
    "no-xattrs": SimulatedHost(
        title="Root, and the data root is on a file system without attributes",
        tier="look only",
        lacks=("user_attributes", "trusted_attributes", "overlay", "overlay_user"),
        take=lambda _base, root: taking.filesystem("ramfs", root),
        is_user=False,
    ),
    "no-sys-admin": SimulatedHost(
        title="Root without CAP_SYS_ADMIN",
        tier="rootless, one id",
        lacks=("sys_admin", "overlay", "trusted_attributes"),
        take=lambda _base, _root: taking.sys_admin(),
        is_user=False,
    ),
    "docker-root": ContainedHost(
        title="Root in a container with Docker's defaults",
        tier="look only",
        lacks=("sys_admin", "user_namespace", "mount_namespace", "proc", "overlay", "cgroups"),
        user="0",
    ),
    "docker-user": ContainedHost(
        title="A user in a container with Docker's defaults",
        tier="look only",
        lacks=("sys_admin", "user_namespace", "mount_namespace", "proc", "overlay", "cgroups"),
        user="1000",
    ),
    "docker-proot": ContainedHost(
        title="A user in a container with Docker's defaults, and PRoot",
        tier="ptrace",
        lacks=("sys_admin", "user_namespace", "mount_namespace"),
        user="1000",
        tools=("proot",),
    ),
    "user": SimulatedHost(
        title="A user with sub-ids", tier="rootless", lacks=("sys_admin", "overlay"), take=_nothing
    ),
    "no-newuidmap": SimulatedHost(
        title="A user without newuidmap",
        tier="rootless, one id",
        lacks=("sys_admin", "sub_ids"),
        take=_nothing,
        tools=(),
    ),
    "no-user-overlay": SimulatedHost(
        title="A user whose data root is on an overlay, so no overlay in user namespaces",
        tier="look only",
        lacks=("overlay_user",),
        take=lambda base, root: taking.overlay(root, base),
    ),
    "no-fsopen": SimulatedHost(
        title="A user under a filter without the new mount calls",
        tier="look only",
        lacks=("mount_calls", "overlay_user", "lower_folders"),
        take=lambda _base, _root: taking.mount_calls(),
    ),
    "no-user-namespaces": SimulatedHost(
        title="A user without user namespaces",
        tier="look only",
        lacks=("user_namespace", "single_id", "sub_ids", "overlay_user"),
        take=_no_user_namespaces,
    ),
    "remote": SimulatedHost(
        title="A user without user namespaces, beside Docker",
        tier="remote",
        lacks=("user_namespace", "single_id"),
        take=_no_user_namespaces,
        has_engine=True,
    ),
    "apparmor": SimulatedHost(
        title="A user on Ubuntu 24.04, where AppArmor restricts user namespaces",
        tier="look only",
        lacks=("single_id", "mount_namespace", "overlay_user"),
        take=lambda _base, _root: taking.rights_of_user_namespaces(),
    ),
}


@functools.cache
def examine(name: str) -> Report:
    """Return the doctor's report from a host, with the paths of the simulation made plain."""
    host = HOSTS[name]
    return _containers()[name] if isinstance(host, ContainedHost) else _examine(host)


@functools.cache
def _containers() -> dict[str, Report]:
    """Return the reports of all that are containers: they have one engine, at one time."""
    return examine_containers(
        {name: host for name, host in HOSTS.items() if isinstance(host, ContainedHost)}
    )


def _examine(host: SimulatedHost) -> Report:
    base = Path(tempfile.mkdtemp(prefix="dl-host-"))
    try:
        text = _run(host, base)
    finally:
        shutil.rmtree(base)
    report: Report = json.loads(text.replace(str(base), "/srv"))
    return report


def _run(host: SimulatedHost, base: Path) -> str:
    base.chmod(0o755)
    package = Path(dockerlab.__file__).parent
    # The checkout may be closed to the ordinary user.
    shutil.copytree(
        package, base / "lib" / "dockerlab", ignore=shutil.ignore_patterns("__pycache__")
    )
    tools, root, own = base / "bin", base / "data", base / "own"
    for folder in (tools, root, own):
        folder.mkdir()
    root.chmod(0o1777)
    for name in host.tools:
        (tools / name).symlink_to(shutil.which(name) or name)
    socket = base / "docker.sock"

    def become() -> None:
        taking.stand_alone(own)
        host.take(own, root)
        if host.is_user:
            taking.root()

    environ = {"PATH": str(tools), "PYTHONPATH": str(base / "lib"), "LC_ALL": "C.UTF-8"}
    environ |= {"DOCKER_HOST": f"unix://{socket}", "PYTHONDONTWRITEBYTECODE": "1"}
    with taking.listening(socket) if host.has_engine else contextlib.nullcontext():
        done = subprocess.run(
            [PYTHON, "-P", "-m", "dockerlab.doctor", "--json", "--root", str(root)],
            env=environ,
            cwd="/",
            preexec_fn=become,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    left = sorted(path.name for path in root.iterdir())
    assert left == [], f"the doctor left {left} in the data root"
    return done.stdout
