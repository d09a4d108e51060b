"""What this host can do, found out by doing it: a pytest plugin for the ``needs_…`` markers.

A test that needs what the host has not is skipped with the probe's reason; `tests/skips.txt` says
where that is allowed. Probes run once a session, and only when a test asks for them.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernels.machine import why_no_machine
from tests.support.accounts import find_python
from tests.support.dockerd import why_no_dockerd
from tests.support.images import find_static_busybox
from tests.support.podman import why_no_podman

__all__ = ["PROBES", "pytest_runtest_setup", "why_not"]

CAP_SYS_ADMIN = 21  # linux/capability.h

_OVERLAY = (
    'mkdir lower upper work merged && mount -t overlay overlay -o "lowerdir=lower,upperdir=upper,'
    'workdir=work" merged && echo data > merged/file && test -f upper/file'
)


def why_not(marker: str) -> str:
    """Return why the host cannot do what `marker` asks for; '' when it can."""
    return _cached(marker)


@functools.cache
def _cached(marker: str) -> str:
    return PROBES[marker]()


def _root() -> str:
    if os.geteuid() != 0:
        return f"uid {os.geteuid()} is not root"
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:") and not int(line.split()[1], 16) >> CAP_SYS_ADMIN & 1:
            return "root without CAP_SYS_ADMIN"
    return ""


def _namespaces() -> str:
    return _try(["unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--net", "true"])


def _overlay() -> str:
    with tempfile.TemporaryDirectory(prefix="dockerlab-probe-") as folder:
        return _try(["unshare", "--mount", "sh", "-c", _OVERLAY], folder)


def _cgroup() -> str:
    """Make a cgroup where the memory controller is: v1's own tree, or the unified one."""
    base = Path("/sys/fs/cgroup")
    memory = base / "memory" if (base / "memory").is_dir() else base
    probe = memory / f"dockerlab-probe-{os.getpid()}"
    try:
        probe.mkdir()
    except OSError as exc:
        return f"cannot make {probe}: {exc.strerror}"
    probe.rmdir()
    return ""


def _unified() -> str:
    """Look for what limits on the unified tree: where v1 is mounted, its controllers are there."""
    try:
        controllers = Path("/sys/fs/cgroup/cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        return "cgroup v2 is not what is mounted on /sys/fs/cgroup"
    missing = {"cpu", "memory", "pids"}.difference(controllers)
    return f"cgroup v2 lacks {', '.join(sorted(missing))}" if missing else ""


def _apparmor() -> str:
    try:
        enabled = Path("/sys/module/apparmor/parameters/enabled").read_text(encoding="ascii")
    except OSError:
        enabled = "N"
    if enabled.strip() != "Y":
        return "this kernel does not have AppArmor on"
    return "" if shutil.which("apparmor_parser") else "apparmor_parser is not installed"


def _program(*names: str) -> Callable[[], str]:
    def probe() -> str:
        found = any(shutil.which(name) for name in names)
        return "" if found else f"{' or '.join(names)} is not installed"

    return probe


def _busybox() -> str:
    return "" if find_static_busybox() else "no static busybox (busybox-static)"


def _arm64() -> str:
    return "" if shutil.which("qemu-aarch64-static") else "qemu-user-static is not installed"


def _rootless() -> str:
    """Have nobody, who has no privilege, make a user namespace with Python."""
    python = find_python()
    if reason := _root():
        return reason
    if not python:
        version = ".".join(map(str, sys.version_info[:2]))
        return f"no Python {version} that every user may execute"
    return _try(["setpriv", "--reuid=65534", "--clear-groups", "unshare", "--user", "true"])


def _try(command: list[str], folder: str | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=20, check=False
        )
    except OSError as exc:
        return f"{command[0]}: {exc.strerror}"
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit {done.returncode}")


PROBES: dict[str, Callable[[], str]] = {
    "needs_root": _root,
    "needs_namespaces": _namespaces,
    "needs_overlay": _overlay,
    "needs_cgroup": _cgroup,
    "needs_unified": _unified,
    "needs_apparmor": _apparmor,
    "needs_machine": why_no_machine,
    "needs_registry": _program("docker-registry", "registry"),
    "needs_busybox": _busybox,
    "needs_docker_cli": _program("docker"),
    "needs_dockerd": why_no_dockerd,
    "needs_podman": why_no_podman,
    "needs_systemd": _program("systemd-analyze"),
    "needs_skopeo": _program("skopeo"),
    "needs_umoci": _program("umoci"),
    "needs_arm64": _arm64,
    "needs_proot": _program("proot"),
    "needs_newuidmap": _program("newuidmap"),
    "needs_rootless": _rootless,
}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose needs the host does not meet, and say which and why."""
    for marker in item.iter_markers():
        if marker.name in PROBES and (reason := why_not(marker.name)):
            pytest.skip(f"{marker.name}: {reason}")
