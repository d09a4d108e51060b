"""Nothing may stay behind: mounts, cgroups and processes, compared before and after the session.

A pytest plugin. Every process that the session starts inherits a mark in its environment, so other
engines on the same machine are not taken for ours. Containers have an environment of their own;
they are found by their cgroups.
"""

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["known_containers", "leaks"]

MARK = "DOCKERLAB_TEST_SESSION"
SETTLE_S = 5.0


def _mounts() -> set[str]:
    """Return the mount points on the host that an engine could have made."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return {line.split()[4] for line in lines if "/dl-" in line or "dockerlab" in line}


def _cgroups(container_ids: set[str]) -> set[str]:
    found = set()
    for folder in Path("/sys/fs/cgroup").glob("**/dockerlab/*"):
        if folder.name in container_ids:
            found.add(str(folder))
    return found


def _processes(mark: str) -> dict[int, str]:
    """Return the live processes that carry `mark`, other than this one."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(process.name)] = command.decode(errors="replace").strip()
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found


@pytest.fixture(scope="session")
def known_containers() -> set[str]:
    """Ids of the containers that the session's engines had; the engine fixtures add to it."""
    return set()


@pytest.fixture(scope="session", autouse=True)
def leaks(known_containers: set[str]) -> Iterator[None]:
    """Fail the session's last test when something stays behind."""
    mark = secrets.token_hex(8)
    os.environ[MARK] = mark
    mounts = _mounts()
    yield
    deadline = time.monotonic() + SETTLE_S
    while True:
        left = [f"mount {path}" for path in _mounts() - mounts]
        left += [f"cgroup {path}" for path in _cgroups(known_containers)]
        left += [f"process {pid} ({command})" for pid, command in _processes(mark).items()]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    del os.environ[MARK]
    assert not left, "left behind: " + "; ".join(left)
