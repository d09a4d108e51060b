"""What this host allows an engine: probed by doing it in a child process, never guessed.

One place decides, and says why; docs/architecture.md has the table of tiers.
"""

import errno
import json
import os
import socket
from typing import NamedTuple

from dockerlab.errors import EngineFailure
from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import usernamespace
from dockerlab.runtime.usernamespace import Mapping

__all__ = ["Tier", "choose_tier"]

_ANSWER_BYTES = 1024
# What the probe and its child say to each other about the ids of a user namespace.
_UNSHARED, _MAPPED = b"unshared", b"mapped"


class Tier(NamedTuple):
    """A tier and the reason for it.

    `name` is ``rootful``, ``rootless``, ``rootless, one id``, or ``unsupported`` where containers
    cannot run; `reason` is a sentence.
    """

    name: str
    reason: str


def choose_tier() -> Tier:
    """Probe this host.

    Root in Colab or in Docker's default container has no CAP_SYS_ADMIN, so being root proves
    nothing: a child unshares every namespace and mounts a file system, which go away with it.
    """
    if os.geteuid() != 0:
        return _choose_without_root()
    step, error = _try_in_child(None)
    if step:
        return Tier("unsupported", f"root may not {step} here: {os.strerror(error).lower()}")
    return Tier("rootful", "root may make namespaces and mounts")


def _choose_without_root() -> Tier:
    mapping, reason = usernamespace.find_mapping()
    if not reason:
        try:
            step, error = _try_in_child(mapping)
        except EngineFailure as failure:
            mapping, reason = usernamespace.single_mapping(), failure.message
        else:
            return _judged(usernamespace.ROOTLESS, "this user has a range of ids", step, error)
    step, error = _try_in_child(mapping)
    return _judged(usernamespace.ONE_ID, f"no ids but the user's own: {reason}", step, error)


def _judged(name: str, reason: str, step: str, error: int) -> Tier:
    if step:
        refused = f"this user may not {step} here: {os.strerror(error).lower()}"
        return Tier("unsupported", refused)
    return Tier(name, reason)


def _try_in_child(mapping: Mapping | None) -> tuple[str, int]:
    """Return the step that failed with its errno, or ('', 0).

    Raises
    ------
    EngineFailure
        The ids of `mapping` are refused.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        verdict = ("end well", 0)
        try:
            ours.close()
            verdict = _steps_without_root(theirs) if mapping else _steps()
        finally:
            try:
                theirs.send(json.dumps(verdict).encode())
            finally:
                os._exit(0)
    theirs.close()
    try:
        with ours:
            answer = ours.recv(_ANSWER_BYTES)
            if mapping and answer == _UNSHARED:
                mapping.write(child)
                ours.send(_MAPPED)
                answer = ours.recv(_ANSWER_BYTES)
    finally:
        os.waitpid(child, 0)
    step, error = json.loads(answer or b'["end well", 0]')
    return str(step), int(error)


def _steps_without_root(sock: socket.socket) -> tuple[str, int]:
    try:
        syscalls.unshare(constants.CLONE_NEWUSER)
    except OSError as exc:
        return "make user namespaces", exc.errno or 0
    sock.send(_UNSHARED)
    if sock.recv(_ANSWER_BYTES) != _MAPPED:
        return "map ids", errno.EPERM
    step, error = _steps()
    if step:
        return step, error
    # The last step is tried where a container does it: as PID 1 of the new pid namespace.
    child = os.fork()
    if child == 0:
        code = 1
        try:
            syscalls.mount("proc", "/proc", "proc", 0, "")
            code = 0
        except OSError as exc:
            code = exc.errno or 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return ("mount a /proc of its own (the host's is partly covered)", code) if code else ("", 0)


def _steps() -> tuple[str, int]:
    kinds = (
        constants.CLONE_NEWNS
        | constants.CLONE_NEWPID
        | constants.CLONE_NEWNET
        | constants.CLONE_NEWUTS
        | constants.CLONE_NEWIPC
    )
    try:
        syscalls.unshare(kinds)
    except OSError as exc:
        return "make namespaces", exc.errno or 0
    try:
        syscalls.mount("", "/", "", constants.MS_REC | constants.MS_PRIVATE, "")
        syscalls.mount("probe", "/proc", "tmpfs", 0, "")
    except OSError as exc:
        return "mount file systems", exc.errno or 0
    return "", 0
