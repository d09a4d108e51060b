"""Nothing may stay behind: mounts, cgroups and processes, compared before and after the session.

A pytest plugin. Every process that the session starts inherits a mark in its environment, so other
engines on the same machine are not taken for ours. Containers have an environment of their own;
they are found by their cgroups.
"""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Footprint", "known_containers", "leaks", "take_footprint"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What an engine has on the host, by kind: names of it, sorted, so that two can be compared."""

    processes: list[int]
    namespaces: list[str]
    mounts: list[str]
    cgroups: list[str]
    descriptors: list[str]
    files: list[str]


def take_footprint(
    services: Sequence[int], folders: Sequence[Path], cgroup_ids: set[str]
) -> Footprint:
    """Look at everything that an engine could leave behind.

    Parameters
    ----------
    services : sequence of int
        Its lasting processes: daemon and zygote. All descendants are looked at too.
    folders : sequence of Path
        Where its files are; those of SQLite's write-ahead log come and go, and are left out.
    cgroup_ids : set of str
        The containers that there were.
    """
    processes = sorted(_family(set(services)))
    descriptors = [f"{pid} {link}" for pid in services for link in _open_files(pid)]
    return Footprint(
        processes=processes,
        namespaces=sorted({name for pid in processes for name in _namespaces(pid)}),
        mounts=sorted(line for pid in (os.getpid(), *services) for line in _mount_table(pid)),
        cgroups=sorted(_cgroups(cgroup_ids)),
        descriptors=sorted(descriptors),
        files=sorted(
            str(path)
            for folder in folders
            for path in _below(folder)
            if not path.name.startswith("engine.sqlite-")
        ),
    )


def _family(roots: set[int]) -> set[int]:
    parents = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            parents[int(process.name)] = int(fields[1])
    family = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _namespaces(pid: int) -> list[str]:
    try:
        return [str(link.readlink()) for link in Path(f"/proc/{pid}/ns").iterdir()]
    except OSError:  # it ended meanwhile
        return []


def _open_files(pid: int) -> list[str]:
    """Return what the descriptors are of; sockets and pipes without their numbers."""
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()).partition(":[")[0])
        except OSError:  # it was closed meanwhile
            continue
    return links


def _mount_table(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    ours = (line for line in lines if "/dl-" in line or "dockerlab" in line)
    return [f"{pid} {line.split()[4]}" for line in ours]


def _below(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder at any depth, while others may be deleting there."""
    for inner, folders, files in os.walk(folder):
        yield from (Path(inner, name) for name in (*folders, *files))
