"""What features need of this host beside the abilities that its tier is chosen by.

Files are looked at; nothing is tried, made or changed.
"""

import os
import resource
import shutil
from collections.abc import Mapping
from typing import NamedTuple

from dockerlab.runtime import capabilities
from dockerlab.runtime.cgroups import tree
from dockerlab.runtime.cgroups.features import features
from dockerlab.runtime.probes.asking import Ability

__all__ = ["KernelFacts", "look"]

_APPARMOR = "/sys/module/apparmor/parameters/enabled"
_SELINUX = "/sys/fs/selinux/enforce"
_RUNTIMES = ("runc", "crun")
# Where they are, whatever the PATH of who starts the engine.
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class KernelFacts(NamedTuple):
    """What there is.

    Parameters
    ----------
    limits : frozenset of str
        As `runtime.cgroups.features` names them.
    cgroup_version : int
        0 where none is mounted.
    no_cgroup : str
        Why containers get no cgroup, a phrase; '' where they do.
    has_freezer : bool
        They can be paused in it.
    runtimes : tuple of str
        Names of other OCI runtimes.
    has_profiles : bool
        The kernel applies AppArmor's profiles or SELinux's labels.
    can_raise : bool
        This user has CAP_SYS_RESOURCE on the host.
    most_files : int
        The hard limit of open files; 0 for none.
    """

    limits: frozenset[str] = frozenset()
    cgroup_version: int = 0
    no_cgroup: str = ""
    has_freezer: bool = False
    runtimes: tuple[str, ...] = ()
    has_profiles: bool = False
    can_raise: bool = False
    most_files: int = 0


def look(
    abilities: Mapping[str, Ability],
    *,
    is_root: bool,
    cgroup_parent: str = "",
    runtimes: Mapping[str, str] | None = None,
) -> KernelFacts:
    """Look at this host.

    Parameters
    ----------
    abilities : mapping
        What was tried, by name.
    is_root : bool
        The engine is root, and needs no user namespace.
    cgroup_parent, runtimes
        As in the settings.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    found = [name for name in _RUNTIMES if shutil.which(name, path=_SYSTEM_PATH)]
    facts = KernelFacts(
        runtimes=tuple(dict.fromkeys((*found, *(runtimes or {})))),
        has_profiles=_begins(_APPARMOR, "Y") or _begins(_SELINUX, "0") or _begins(_SELINUX, "1"),
        can_raise=is_root and "CAP_SYS_RESOURCE" in capabilities.available(),
        most_files=0 if most == resource.RLIM_INFINITY else most,
    )
    try:
        cgroups = tree.detect()
    except tree.CgroupError:
        return facts._replace(no_cgroup="no cgroup file system is mounted")
    return facts._replace(
        limits=features(cgroups),
        cgroup_version=cgroups.version,
        no_cgroup=_no_cgroup(cgroups, abilities["cgroups"], cgroup_parent, is_root=is_root),
        has_freezer=cgroups.version != 1 or _is_ours(cgroups, "freezer", cgroup_parent),
    )


def _no_cgroup(cgroups: tree.CgroupTree, ability: Ability, parent: str, *, is_root: bool) -> str:
    if is_root:
        return "" if ability.ok else ability.reason
    if not parent:
        return "no cgroup is given to this user's engine"
    if not _is_ours(cgroups, "pids", parent):
        return f'the cgroup "{parent}" cannot be written to'
    return ""


def _is_ours(cgroups: tree.CgroupTree, controller: str, parent: str) -> bool:
    """Tell whether containers can have folders of this controller."""
    mounted = cgroups.mount_point(controller)
    return bool(mounted) and os.access(f"{mounted}{parent}", os.W_OK)


def _begins(path: str, letter: str) -> bool:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(1) == letter
    except OSError:
        return False
