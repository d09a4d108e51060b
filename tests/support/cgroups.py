"""Cgroups of this host for tests: a path of one's own, programs inside, nothing left behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockerlab.runtime.cgroups.tree import CgroupTree
from dockerlab.runtime.cgroups.v2 import V2Tree

__all__ = [
    "SLEEP",
    "UNIFIED",
    "delegated",
    "fresh_path",
    "inside",
    "started_inside",
    "unified_mount",
]

SLEEP = "import signal; signal.pause()"

# Where the unified tree is on a host that has nothing else.
UNIFIED = Path("/sys/fs/cgroup")


@contextmanager
def fresh_path(tree: CgroupTree) -> Iterator[str]:
    """Give a path that nobody else uses, and remove it afterwards with all that runs in it."""
    parent = f"/dockerlab-tests-{os.getpid()}"
    try:
        yield f"{parent}/container"
    finally:
        tree.kill(parent)
        tree.remove(parent)


@contextmanager
def started_inside(tree: CgroupTree, path: str, code: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python code in a process that is in a cgroup from its first line on."""
    command = [sys.executable, "-I", "-S", "-c", f"input()\n{code}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            tree.join(path, process.pid)
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            yield process
        finally:
            tree.thaw(path)
            process.kill()


def unified_mount() -> str:
    """Return where the unified tree is mounted, or an empty string."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        if " - cgroup2 " in line:
            return line.split(" ")[4]
    return ""


@contextmanager
def delegated(uid: int, gid: int, controllers: str = "+cpu +memory +pids") -> Iterator[str]:
    """Give a path of the unified tree that was handed to a user as systemd does it.

    The folder and what moves processes and hands controllers down are the user's; the limits of the
    folder itself stay root's. See "Delegation" in cgroup-v2.rst of the kernel's documentation.
    """
    parent = UNIFIED / f"dockerlab-delegated-{os.getpid()}"
    folder = parent / "user"
    try:
        folder.mkdir(parents=True)
        for each in (UNIFIED, parent):
            (each / "cgroup.subtree_control").write_text(controllers, encoding="ascii")
        for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
            os.chown(folder / name, uid, gid)
        yield f"/{folder.relative_to(UNIFIED)}"
    finally:
        V2Tree(str(UNIFIED)).remove(f"/{parent.name}")


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Be in a folder of the unified tree, so that what is started begins there."""
    [line] = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    before = UNIFIED / line.removeprefix("0::").strip("/")
    (UNIFIED / path.strip("/") / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    try:
        yield
    finally:
        (before / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
