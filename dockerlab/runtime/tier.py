"""What this host allows an engine: probed by doing it in a child process, never guessed.

One place decides, and says why; docs/architecture.md has the table of tiers.
"""

import json
import os
from typing import NamedTuple

from dockerlab.kernel import constants, syscalls

__all__ = ["Tier", "choose_tier"]


class Tier(NamedTuple):
    """A tier and the reason for it.

    `name` is ``rootful``, or ``unsupported`` where containers cannot run; `reason` is a sentence.
    """

    name: str
    reason: str


def choose_tier() -> Tier:
    """Probe this host.

    Root in Colab or in Docker's default container has no CAP_SYS_ADMIN, so being root proves
    nothing: a child unshares every namespace and mounts a file system, which go away with it.
    """
    if os.geteuid() != 0:
        return Tier("unsupported", "this user is not root, and rootless containers come later")
    step, error = _try_in_child()
    if step:
        return Tier("unsupported", f"root may not {step} here: {os.strerror(error).lower()}")
    return Tier("rootful", "root may make namespaces and mounts")


def _try_in_child() -> tuple[str, int]:
    """Return the step that failed with its errno, or ('', 0)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        verdict = ("end well", 0)
        try:
            verdict = _steps()
        finally:
            os.write(writer, json.dumps(verdict).encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    step, error = json.loads(answer)
    return str(step), int(error)


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
