"""Cgroups of this host for tests: a path of one's own, programs inside, nothing left behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockerlab.runtime.cgroups.tree import CgroupTree

__all__ = ["SLEEP", "fresh_path", "started_inside", "unified_mount"]

SLEEP = "import signal; signal.pause()"


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
