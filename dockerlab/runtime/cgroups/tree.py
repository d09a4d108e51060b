"""Find out which cgroups the host has, and give the one interface to them.

Both classes behind it have ``create``, ``update``, ``join``, ``processes``, ``oom_kills``,
``watch_oom``, ``freeze``, ``is_frozen``, ``thaw``, ``kill``, ``remove``, ``folder`` and
``mount_point``. Paths are those of the spec's ``cgroupsPath``, such as
``/dockerlab/<id>``. See cgroups(7).
"""

import errno

from dockerlab.runtime.cgroups.folder import CgroupError
from dockerlab.runtime.cgroups.v1 import V1Tree
from dockerlab.runtime.cgroups.v2 import V2Tree

__all__ = ["CgroupError", "CgroupTree", "detect", "parse_mountinfo"]

# A closed set of two, so a union and not a Protocol, which would need `typing` at run time.
CgroupTree = V1Tree | V2Tree

# Octal escapes of /proc/self/mountinfo; see proc_pid_mountinfo(5).
_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def detect(mountinfo: str = "/proc/self/mountinfo") -> CgroupTree:
    """Return the host's cgroups.

    Where both versions are mounted ("hybrid"), the limits are v1's: a controller belongs to one
    hierarchy at a time, and as long as any is with v1 the unified tree only names services.

    Parameters
    ----------
    mountinfo : str
        The file to read the mounts from.

    Raises
    ------
    CgroupError
        ENOENT when no cgroup file system is mounted.
    """
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        controllers, unified = parse_mountinfo(file.read())
    if controllers:
        return V1Tree(controllers)
    if unified:
        return V2Tree(unified)
    raise CgroupError(
        errno.ENOENT, "no cgroup file system is mounted, so nothing can be limited", mountinfo
    )


def parse_mountinfo(text: str) -> tuple[dict[str, str], str]:
    """Return the mount points of cgroups: of each v1 controller, and of the unified tree or "".

    See proc_pid_mountinfo(5).

    Examples
    --------
    >>> parse_mountinfo("35 31 0:32 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuset")
    ({'cpu': '/sys/fs/cgroup/cpu', 'cpuset': '/sys/fs/cgroup/cpu'}, '')
    """
    controllers: dict[str, str] = {}
    unified = ""
    for line in text.splitlines():
        mount, _, file_system = line.partition(" - ")
        mount_point = _unescape(mount.split(" ")[4])
        kind, _, super_options = file_system.split(" ", 2)
        # The first mount wins: later ones are bind mounts of the same tree into other places.
        if kind == "cgroup2":
            unified = unified or mount_point
        elif kind == "cgroup":
            for option in super_options.split(","):
                if option in V1Tree.CONTROLLERS:
                    controllers.setdefault(option, mount_point)
    return controllers, unified


def _unescape(path: str) -> str:
    for escape, character in _ESCAPES:
        path = path.replace(escape, character)
    return path
