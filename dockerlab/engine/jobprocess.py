"""What the zygote's jobs on files share: a process of their own, answers, the kinds of refusals.

Import-light: these are children of the zygote. The daemon's side is `asking`.
"""

from __future__ import annotations

import errno
import json
import os

from dockerlab.engine.containerpaths import Refusal
from dockerlab.image.layer.fault import LayerFault
from dockerlab.runtime.protocol import StepFailure
from dockerlab.runtime.zygote import describe, run_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["answer", "apart", "sort_descriptors", "writer"]

_MAX_MESSAGE_BYTES = 128 << 10


def sort_descriptors(args: dict[str, Any], fds: list[int]) -> tuple[int, int, int]:
    """Return socket, pidfd and stream; -1 for what was not given."""
    control, *others = fds
    init_pidfd = others.pop() if args.get("runs") else -1
    return control, init_pidfd, others[0] if others else -1


def apart(control: int, body: Callable[[], None]) -> None:
    """Do it in a child of this process, and end behind it.

    A process lets go of its descriptors before it lets go of its mounts. So this one keeps the
    socket until the other has ended: whoever reads its end may mount the same folders again.
    """
    pid = os.fork()
    if pid == 0:
        run_child(lambda: _guarded(control, body))
    os.waitpid(pid, 0)


def _guarded(control: int, body: Callable[[], None]) -> None:
    try:
        body()
    except Refusal as refusal:
        answer(control, {"error": str(refusal), "kind": refusal.kind})
    except LayerFault as fault:
        kind = "" if fault.kind in ("io", "space") else "invalid"
        answer(control, {"error": fault.message, "kind": kind})
    except StepFailure as failure:
        answer(control, {"error": failure.message, "kind": ""})
    except BrokenPipeError:
        return  # Nobody wants the rest.
    except OSError as error:
        if error.errno == errno.EROFS:
            answer(control, {"error": "the file system is read-only", "kind": "forbidden"})
            return
        about = os.fsdecode(error.filename) if error.filename else ""
        reason = error.strerror or str(error)
        answer(control, {"error": f'"{about}": {reason}' if about else reason, "kind": ""})
    except Exception as error:
        answer(control, {"error": describe(error).strip(), "kind": ""})
        raise


def answer(control: int, message: dict[str, Any]) -> None:
    """Send a message to whoever waits; one who is gone misses nothing."""
    data = json.dumps(message).encode("utf-8", "surrogatepass")
    try:
        os.write(control, data[:_MAX_MESSAGE_BYTES])
    except BrokenPipeError:
        return


def writer(fd: int) -> Callable[[bytes], None]:
    """Return what writes bytes to a descriptor, all of them."""

    def write(data: bytes) -> None:
        """Write all of it."""
        while data:
            data = data[os.write(fd, data) :]

    return write
