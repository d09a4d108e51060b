"""The probe of cgroups: which version limits here, and which controllers this user can write.

It makes a folder where the engine would and looks what can be written in it. See cgroups(7).
"""

import contextlib
import os
from collections.abc import Iterator

from dockerlab.runtime.cgroups import tree
from dockerlab.runtime.probes.asking import Finding, Host, Refused, doing

__all__ = ["limits"]

_CONTROLLERS = ("cpu", "memory", "pids")
_V1_FILES = {"cpu": "cpu.shares", "memory": "memory.limit_in_bytes", "pids": "pids.max"}


def limits(_host: Host) -> Finding:
    """Make a cgroup and see which of the controllers for limits it has."""
    with doing('reading "/proc/self/mountinfo"'):
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            v1, unified = tree.parse_mountinfo(file.read())
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            own = _own_folders(file.read())
    # Root's containers lie at the top, a user's below what the user was given.
    if os.geteuid() == 0:
        own = {}
    if v1:
        version, answers = 1, {name: _try_v1(name, v1, own) for name in _CONTROLLERS}
    elif unified:
        version, answers = 2, _try_v2(unified + own.get("", "").rstrip("/"))
    else:
        raise Refused("no cgroup file system is mounted", version=0, writable=[])
    writable = [name for name, refusal in answers.items() if refusal is None]
    facts = {"version": version, "writable": writable}
    refused = [(name, refusal) for name, refusal in answers.items() if refusal is not None]
    if refused:
        names = ", ".join(name for name, _ in refused)
        raise Refused(f"v{version}, {names}: {refused[0][1]}", refused[0][1].number, **facts)
    return Finding(f"v{version}: {', '.join(writable)} can be limited", facts)


def _own_folders(text: str) -> dict[str, str]:
    r"""Return this process's folder in each hierarchy, by controller; '' is the unified tree.

    Examples
    --------
    >>> _own_folders("4:cpu,cpuacct:/a\n0::/user.slice\n")
    {'cpu': '/a', 'cpuacct': '/a', '': '/user.slice'}
    """
    found = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            found[name] = path
    return found


def _try_v1(name: str, mounts: dict[str, str], own: dict[str, str]) -> Refused | None:
    if name not in mounts:
        return Refused("no hierarchy with it is mounted")
    try:
        with _made(mounts[name] + own.get(name, "").rstrip("/")) as folder:
            _open_for_writing(f"{folder}/{_V1_FILES[name]}")
    except Refused as refusal:
        return refusal
    return None


def _try_v2(parent: str) -> dict[str, Refused | None]:
    answers: dict[str, Refused | None] = {}
    try:
        with _made(parent) as folder:
            enabled = _words(f"{folder}/cgroup.controllers")
            offered = _words(f"{parent}/cgroup.controllers")
            for name in _CONTROLLERS:
                answers[name] = None
                if name in enabled:
                    continue
                if name in offered:
                    _open_for_writing(f"{parent}/cgroup.subtree_control")
                else:
                    answers[name] = Refused("it is not delegated")
    except Refused as refusal:
        return {name: answers.get(name) or refusal for name in _CONTROLLERS}
    return answers


@contextlib.contextmanager
def _made(parent: str) -> Iterator[str]:
    folder = f"{parent}/dockerlab-probe-{os.getpid()}"
    with doing(f'making a cgroup in "{parent}"'):
        os.mkdir(folder)
    try:
        yield folder
    finally:
        os.rmdir(folder)


def _open_for_writing(path: str) -> None:
    with doing(f'opening "{path}"'):
        os.close(os.open(path, os.O_WRONLY))


def _words(path: str) -> list[str]:
    with doing(f'reading "{path}"'), open(path, encoding="ascii") as file:
        return file.read().split()
