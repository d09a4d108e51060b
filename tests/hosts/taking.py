"""Take abilities away from this process, as hosts do that give less; nothing comes back.

Each function is one step between fork and exec of the doctor, in a mount namespace of its own.
Those that mount and filter come before those that give up being root.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from dockerlab.kernel import constants, syscalls
from dockerlab.oci.runtimespec import Seccomp, SyscallArg, SyscallRule
from dockerlab.runtime import capabilities, defaults, profile, seccomp

USER = "ann"
UID = 1000
RESTRICTION = "apparmor_restrict_unprivileged_userns"


def stand_alone(base: Path) -> None:
    """Enter a mount namespace with a user who has sub-ids, and without the engines of this host."""
    syscalls.unshare(constants.CLONE_NEWNS)
    syscalls.mount("", "/", "", constants.MS_REC | constants.MS_PRIVATE, "")
    syscalls.mount("tmpfs", "/run", "tmpfs", 0, "")
    files = {
        "passwd": f"root:x:0:0::/root:/bin/sh\n{USER}:x:{UID}:{UID}::/tmp:/bin/sh\n",
        "group": f"root:x:0:\n{USER}:x:{UID}:\n",
        "subuid": f"{USER}:200000:65536\n",
        "subgid": f"{USER}:200000:65536\n",
    }
    for name, text in files.items():
        (base / name).write_text(text, encoding="ascii")
        _bind(base / name, Path("/etc") / name)


def _bind(source: Path, target: Path) -> None:
    syscalls.mount(str(source), str(target), "", constants.MS_BIND, "")


def filesystem(kind: str, folder: Path) -> None:
    """Mount an empty file system that everybody may write to."""
    syscalls.mount(kind, str(folder), kind, 0, "")
    folder.chmod(0o1777)


def overlay(folder: Path, base: Path) -> None:
    """Mount root's overlay there, as it is what a container's files are on."""
    for name in ("lower", "upper", "work"):
        (base / name).mkdir()
    (base / "upper").chmod(0o1777)
    data = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    syscalls.mount("overlay", str(folder), "overlay", 0, data)


def cgroups_to_write() -> None:
    """Make every cgroup file system read-only."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, rest = line.partition(" - ")
        if rest.startswith("cgroup"):
            flags = constants.MS_REMOUNT | constants.MS_BIND | constants.MS_RDONLY
            syscalls.mount("", mount.split(" ")[4], "", flags, "")


def shared_memory() -> None:
    """Give a /dev with the usual nodes and without /dev/shm."""
    syscalls.mount("tmpfs", "/dev", "tmpfs", 0, "mode=755")
    for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
        node = f"/dev/{name}"
        os.mknod(node, 0o20666, os.makedev(1, minor))
        Path(node).chmod(0o666)


def fresh_proc() -> None:
    """Cover a part of /proc: then no user namespace may mount another one (mount_too_revealing)."""
    syscalls.mount(
        "tmpfs", "/proc/scsi" if Path("/proc/scsi").is_dir() else "/proc/fs", "tmpfs", 0, ""
    )


def rights_of_user_namespaces() -> None:
    """Behave as Ubuntu 24.04: unshare(CLONE_NEWUSER) works, and what needs its rights does not."""
    names = ("cap_last_cap", "overflowuid", "overflowgid")
    kept = {name: Path("/proc/sys/kernel", name).read_text(encoding="ascii") for name in names}
    syscalls.mount("tmpfs", "/proc/sys/kernel", "tmpfs", 0, "mode=755")
    for name, text in {**kept, RESTRICTION: "1\n"}.items():
        Path("/proc/sys/kernel", name).write_text(text, encoding="ascii")
    others = constants.CLONE_NEWNS | constants.CLONE_NEWUTS | constants.CLONE_NEWIPC
    others |= constants.CLONE_NEWPID | constants.CLONE_NEWNET | constants.CLONE_NEWCGROUP
    refuse(
        *(_when_flag("unshare", 1 << bit) for bit in range(32) if others >> bit & 1),
        _rule("mount", "fsopen", "sethostname"),
    )


def user_namespaces() -> None:
    """Refuse to make user namespaces, as the filter of a container does."""
    refuse(
        *(_when_flag(name, constants.CLONE_NEWUSER) for name in ("unshare", "clone")),
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
    )


def mount_calls() -> None:
    """Refuse fsopen(2), as filters do that are older than it."""
    refuse(_rule("fsopen"))


def refuse(*rules: SyscallRule) -> None:
    """Install a filter that refuses what the rules say, and nothing else."""
    filter_: Seccomp = {
        "defaultAction": "SCMP_ACT_ALLOW",
        # All that a profile has: PRoot voids a call by the number -1, which looks like one of x32.
        "architectures": profile.expand(profile.default_profile(), [])["architectures"],
        "syscalls": list(rules),
    }
    seccomp.install(seccomp.compile_filter(filter_, os.uname().machine))


def _rule(*names: str) -> SyscallRule:
    return {"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM}


def _when_flag(name: str, flag: int) -> SyscallRule:
    argument: SyscallArg = {"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": flag, "valueTwo": flag}
    return {**_rule(name), "args": [argument]}


def all_but_dockers_defaults() -> None:
    """Come under Docker's profile with Docker's 14 capabilities, as in its default container."""
    cgroups_to_write()
    fresh_proc()
    names = list(defaults.DEFAULT_CAPABILITIES)
    rules = profile.expand(profile.default_profile(), names)
    program = seccomp.compile_filter(rules, os.uname().machine)
    capabilities.limit_bounding(names)
    seccomp.install(program)
    capabilities.apply({"bounding": names, "effective": names, "permitted": names})


def sys_admin() -> None:
    """Give up CAP_SYS_ADMIN and stay root."""
    names = [name for name in capabilities.available() if name != "CAP_SYS_ADMIN"]
    capabilities.limit_bounding(names)
    capabilities.apply({"bounding": names, "effective": names, "permitted": names})


def root() -> None:
    """Become the ordinary user."""
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)


@contextlib.contextmanager
def listening(path: Path) -> Iterator[None]:
    """Listen as an engine would; whoever connects is not answered."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(path))
        path.chmod(0o666)
        sock.listen()
        yield
