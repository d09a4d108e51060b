"""Probes of namespaces and of what may be done in them.

A user who is not root makes them inside a user namespace, as a container of theirs would be made:
`become_root_inside` is the way in. Not here: file systems (`files`), sub-ids (`ids`).
"""

import os

from dockerlab.kernel import constants, privileges, syscalls
from dockerlab.runtime.namespaces import bring_loopback_up
from dockerlab.runtime.probes.asking import Finding, Host, Refused, doing, in_child

__all__ = [
    "become_root_inside",
    "cgroup",
    "has_sys_admin",
    "ipc",
    "mount",
    "network",
    "new_mounts",
    "pid",
    "proc",
    "single_id",
    "sys_admin",
    "user",
    "uts",
]

_RESTRICTION = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"


def has_sys_admin() -> bool:
    """Tell whether this process has CAP_SYS_ADMIN in its user namespace."""
    effective, _, _ = privileges.capget()
    return bool(effective >> constants.CAP_SYS_ADMIN & 1)


def become_root_inside(*, always: bool = False) -> None:
    """Enter a new user namespace with one id, unless this process is privileged already."""
    if has_sys_admin() and not always:
        return
    uid, gid = os.geteuid(), os.getegid()
    facts = {"apparmor": is_restricted_by_apparmor()}
    with doing("unshare(CLONE_NEWUSER)", **facts):
        syscalls.unshare(constants.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with (
            doing(f'writing "/proc/self/{name}"', **facts),
            open(f"/proc/self/{name}", "w", encoding="ascii", buffering=1) as file,
        ):
            file.write(text)


def is_restricted_by_apparmor() -> bool:
    """Tell whether the kernel takes the privileges of new user namespaces away.

    With Ubuntu's ``kernel.apparmor_restrict_unprivileged_userns=1``, unshare(2) succeeds and what
    follows fails, for every program without a profile that says ``userns``.
    """
    try:
        with open(_RESTRICTION, encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def sys_admin(_host: Host) -> Finding:
    """Root that may do what root does: in Colab and in Docker's default container it may not."""
    if os.geteuid() != 0:
        raise Refused(f"uid {os.geteuid()} is not root", root=False)
    if not has_sys_admin():
        raise Refused("root has no CAP_SYS_ADMIN here", root=True)
    return Finding("root with CAP_SYS_ADMIN")


def user(_host: Host) -> Finding:
    """Make a user namespace; what may be done in it is `single_id`."""
    with doing("unshare(CLONE_NEWUSER)"):
        syscalls.unshare(constants.CLONE_NEWUSER)
    return Finding("unshare(CLONE_NEWUSER) works")


def single_id(_host: Host) -> Finding:
    """Map one id in a user namespace, and use the privileges that come with it."""
    become_root_inside(always=True)
    facts = {"apparmor": is_restricted_by_apparmor()}
    with doing("unshare(CLONE_NEWUTS) in a user namespace", **facts):
        syscalls.unshare(constants.CLONE_NEWUTS)
    with doing("sethostname in a user namespace", **facts):
        syscalls.sethostname("probe")
    return Finding("this user is root in a user namespace")


def new_mounts() -> None:
    """Enter a mount namespace from which nothing reaches the host."""
    with doing("unshare(CLONE_NEWNS)"):
        syscalls.unshare(constants.CLONE_NEWNS)
    with doing("making mounts private"):
        syscalls.mount("", "/", "", constants.MS_REC | constants.MS_PRIVATE, "")


def mount(_host: Host) -> Finding:
    """Make a mount namespace and mount in it."""
    become_root_inside()
    new_mounts()
    with doing("mounting a tmpfs"):
        syscalls.mount("probe", "/proc", "tmpfs", 0, "")
    return Finding("a tmpfs was mounted in it")


def pid(_host: Host) -> Finding:
    """Make a pid namespace and be PID 1 in it."""
    become_root_inside()
    with doing("unshare(CLONE_NEWPID)"):
        syscalls.unshare(constants.CLONE_NEWPID)
    return in_child(_be_first)


def _be_first() -> Finding:
    if os.getpid() != 1:
        raise Refused(f"its first process has the pid {os.getpid()}")
    return Finding("its first process has the pid 1")


def network(_host: Host) -> Finding:
    """Make a network namespace and bring its loopback up."""
    become_root_inside()
    with doing("unshare(CLONE_NEWNET)"):
        syscalls.unshare(constants.CLONE_NEWNET)
    with doing("bringing the loopback up"):
        bring_loopback_up()
    return Finding("its loopback is up")


def uts(_host: Host) -> Finding:
    """Make a UTS namespace and name the host in it."""
    become_root_inside()
    with doing("unshare(CLONE_NEWUTS)"):
        syscalls.unshare(constants.CLONE_NEWUTS)
    with doing("sethostname"):
        syscalls.sethostname("probe")
    return Finding("it has a host name of its own")


def ipc(_host: Host) -> Finding:
    """Make an IPC namespace."""
    return _other("ipc", constants.CLONE_NEWIPC, "CLONE_NEWIPC")


def cgroup(_host: Host) -> Finding:
    """Make a cgroup namespace."""
    return _other("cgroup", constants.CLONE_NEWCGROUP, "CLONE_NEWCGROUP")


def _other(kind: str, flag: int, name: str) -> Finding:
    become_root_inside()
    before = os.readlink(f"/proc/self/ns/{kind}")
    with doing(f"unshare({name})"):
        syscalls.unshare(flag)
    if os.readlink(f"/proc/self/ns/{kind}") == before:
        raise Refused(f"unshare({name}) changed nothing")
    return Finding(f"unshare({name}) works")


def proc(_host: Host) -> Finding:
    """Mount a fresh /proc, which a container's own pid namespace needs."""
    become_root_inside()
    new_mounts()
    with doing("unshare(CLONE_NEWPID)"):
        syscalls.unshare(constants.CLONE_NEWPID)
    return in_child(_mount_proc)


def _mount_proc() -> Finding:
    with doing('mounting "proc" on "/proc"'):
        syscalls.mount("proc", "/proc", "proc", 0, "")
    if os.readlink("/proc/self") != "1":
        raise Refused("the new /proc shows other processes")
    return Finding("it shows the namespace's processes only")
