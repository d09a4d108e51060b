"""The last steps before a process is no longer ours: user, limits, privileges, execve.

Shared by a container's first process (`runtime.init`) and by an exec (`runtime.enter`), so that
both have the same restrictions. Everything here happens inside the container's root. The order is
that of capabilities(7) and of runc; where it matters, the reason is at the step.
"""

from __future__ import annotations

import errno
import os
import signal
import stat

from dockerlab.kernel import constants, privileges, syscalls
from dockerlab.runtime import capabilities, users
from dockerlab.runtime.inside import open_path
from dockerlab.runtime.protocol import Step, StepFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dockerlab.oci.runtimespec import Process

__all__ = [
    "DEFAULT_PATH",
    "Identity",
    "become",
    "candidates",
    "check_program",
    "enter_working_directory",
    "environment",
    "execute",
    "find_identity",
    "forget_signals",
    "raise_if_unmapped",
]

# Where a program is sought that has no PATH.
DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A passwd file of a megabyte has twenty thousand users; more is an attack on our memory.
_USER_FILE_BYTES = 4 * 1024 * 1024
_UMASK = 0o022
# By Python from its start: SIGPIPE and SIGXFSZ; the others by `runtime.monitor`.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORKING_DIRECTORY_MODE = 0o755
_EXECUTABLE = 0o111


class Identity:
    """Who the process becomes.

    Attributes
    ----------
    uid, gid : int
    groups : list of int
        Supplementary groups.
    home : str
        "" when it is not known.
    """

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


def find_identity(process: Process, user: str | None, root_fd: int = -1) -> Identity:
    """Return the identity that the process asks for.

    Parameters
    ----------
    user : str or None
        Docker's ``user[:group]``, looked up in the container's files; None takes the spec's ids.
    root_fd : int
        The container's root, for a process that has another; -1 is the process's own.
    """
    wanted = process["user"]
    extra = wanted.get("additionalGids", [])
    if user is None:
        return Identity(wanted["uid"], wanted["gid"], extra, "")
    try:
        group_file = _read_user_file("etc/group", root_fd)
        uid, gid, groups, home = users.resolve_user(
            user, _read_user_file("etc/passwd", root_fd), group_file
        )
        extra = [*extra, *users.resolve_groups(wanted.get("groups", []), group_file)]
    except users.UnresolvedUser as error:
        raise StepFailure("user", errno.ENOENT, user, str(error)) from error
    # The primary group among the others, as in Docker: a file that shuts its group out would else
    # be open to a process that changes its primary group (CVE-2022-36109).
    return Identity(uid, gid, list(dict.fromkeys((gid, *groups, *extra))), home)


def _read_user_file(path: str, root_fd: int) -> bytes:
    """Read a file of the image, which may be anything: a fifo would block, /dev/zero not end."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        if root_fd < 0:
            fd = os.open(f"/{path}", flags)
        else:
            fd = open_path(syscalls, root_fd, path, flags=flags)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        return os.read(fd, _USER_FILE_BYTES)
    finally:
        os.close(fd)


def enter_working_directory(path: str) -> None:
    """Change to `path`, made with its parents where it is missing, owned by root as Docker does."""
    with Step("cwd", path):
        try:
            os.chdir(path)
        except FileNotFoundError:
            os.makedirs(path, _WORKING_DIRECTORY_MODE, exist_ok=True)
            os.chdir(path)
        # A descriptor of the host as working directory was CVE-2024-21626: getcwd(2) then fails, or
        # gives a path that is not absolute.
        if not os.getcwdb().startswith(b"/"):
            raise OSError(errno.EPERM, "the working directory is outside the container", path)


def become(process: Process, identity: Identity, install_filter: Callable[[], None]) -> None:
    """Take on limits, privileges and ids of the process; nothing can be got back afterwards."""
    with Step("limits"):
        for limit in process.get("rlimits", []):
            syscalls.setrlimit(constants.RLIMITS[limit["type"]], limit["soft"], limit["hard"])
    has_no_new_privileges = process.get("noNewPrivileges", False)
    with Step("capabilities"):
        if has_no_new_privileges:
            privileges.prctl(privileges.PR_SET_NO_NEW_PRIVS, 1)
        if "capabilities" in process:
            capabilities.limit_bounding(process["capabilities"]["bounding"])
            capabilities.keep_across_setuid()
    if not has_no_new_privileges:
        # Without no_new_privs seccomp(2) wants CAP_SYS_ADMIN, which is gone in a moment.
        install_filter()
    with Step("user"):
        if not process["user"].get("keepGroups", False):
            _set_groups(identity)
        _set_ids(identity)
    with Step("capabilities"):
        if "capabilities" in process:
            capabilities.apply(process["capabilities"])
    if has_no_new_privileges:
        install_filter()
    os.umask(process["user"].get("umask", _UMASK))


def _set_groups(identity: Identity) -> None:
    try:
        os.setgroups(identity.groups)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        groups = ",".join(map(str, identity.groups))
        reason = "not all have an id in this engine's user namespace; larger ranges in /etc/subgid"
        text = f'groups "{groups}": {reason} would give them one'
        raise StepFailure("user", errno.EINVAL, groups, text) from error


def _set_ids(identity: Identity) -> None:
    try:
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        raise_if_unmapped(error, identity)
        raise


def raise_if_unmapped(error: OSError, identity: Identity) -> None:
    """Say what the kernel means by EINVAL: that an id does not exist in the user namespace."""
    if error.errno != errno.EINVAL:
        return
    reason = "has no id in this engine's user namespace; ranges in /etc/subuid and /etc/subgid"
    reason += " with newuidmap would give it one, or run the container with --user 0"
    name = f"{identity.uid}:{identity.gid}"
    raise StepFailure("user", errno.EINVAL, name, f'user "{name}" {reason}') from error


def check_program(process: Process) -> None:
    """Raise StepFailure, step ``exec``, when there is no program that could be executed.

    For who is asked long before the execution whether it will be possible; as root, before the
    user's own rights count.
    """
    args = process["args"]
    if not args:
        raise StepFailure("exec", errno.EINVAL, "", "exec: no command is given")
    env = dict(_bytes(entry).partition(b"=")[::2] for entry in process["env"])
    number = errno.ENOENT
    for candidate in candidates(_bytes(args[0]), env.get(b"PATH", DEFAULT_PATH)):
        try:
            mode = os.stat(candidate).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and mode & _EXECUTABLE:
            return
        number = errno.EACCES
    raise StepFailure("exec", number, args[0], f'exec "{args[0]}": {os.strerror(number)}')


def execute(process: Process, identity: Identity, keep_fd: int, *, preserved: int = 0) -> None:
    """Execute the program; returns only by raising StepFailure.

    Parameters
    ----------
    keep_fd : int
        The one descriptor beyond the standard three that may stay open until execve(2), which
        closes it.
    preserved : int
        How many descriptors from 3 on the program inherits.
    """
    env = environment(process["env"], identity)
    args = [_bytes(arg) for arg in process["args"]]
    search = env.get(b"PATH", DEFAULT_PATH)
    forget_signals()
    syscalls.close_range(3 + preserved, keep_fd - 1)
    syscalls.close_range(keep_fd + 1)
    if not args:
        raise StepFailure("exec", errno.EINVAL, "", "exec: no command is given")
    name = process["args"][0]
    error = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for candidate in candidates(args[0], search):
        try:
            os.execve(candidate, args, env)  # noqa: S606 - no shell is the point
        except OSError as caught:
            # As execvp(3): a file that may not be executed is remembered, a better one sought.
            if caught.errno in (errno.ENOENT, errno.ENOTDIR):
                continue
            error = caught
            if caught.errno != errno.EACCES:
                break
    number = error.errno or 0
    raise StepFailure("exec", number, name, f'exec "{name}": {os.strerror(number)}')


def candidates(name: bytes, search: bytes) -> list[bytes]:
    """Return the paths at which execvp(3) looks for a program, `search` being the PATH."""
    if b"/" in name or not name:
        return [name]
    return [os.path.join(folder or b".", name) for folder in search.split(b":")]


def environment(entries: list[str], identity: Identity) -> dict[bytes, bytes]:
    """Return the variables of a process; HOME is the user's where nothing else is said."""
    env: dict[bytes, bytes] = {}
    for entry in entries:
        name, equals, value = _bytes(entry).partition(b"=")
        if name and equals:
            env[name] = value
    if identity.home:
        env.setdefault(b"HOME", _bytes(identity.home))
    return env


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def forget_signals() -> None:
    """Give back what Python and the monitor ignore, for execve(2) keeps that.

    What somebody above the daemon ignored, the zygote has given back already.
    """
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
