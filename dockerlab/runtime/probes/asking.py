"""Ask one probe: in a child process of its own, with a time limit.

What a probe changes (namespaces, mounts, filters) goes away with its child. A probe that hangs is a
"no" with that reason. Not here: the probes themselves, and what follows from their answers.
"""

import contextlib
import errno
import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

__all__ = ["Ability", "Finding", "Host", "Probe", "Refused", "ask", "doing", "in_child"]

TIMEOUT_S = 5.0
# How long a child that was killed may take; one that waits for a dead disk never ends.
_END_TIMEOUT_S = 0.5


class Host(NamedTuple):
    """What the probes are about.

    Parameters
    ----------
    data_root : str
        Absolute; it need not exist.
    python : str
        The interpreter that an engine would run.
    path : str
        Folders of programs, as ``PATH``.
    sockets : tuple of str
        Paths where other engines may listen.
    scratch : str
        Where probes write, on the data root's file system: `registry.examine` names and removes it.
    """

    data_root: str
    python: str
    path: str
    sockets: tuple[str, ...] = ()
    scratch: str = ""

    @property
    def folder(self) -> str:
        """The data root, or its nearest parent that is there."""
        here = self.data_root
        while not os.path.isdir(here) and here != "/":
            here = os.path.dirname(here)
        return here


class Finding(NamedTuple):
    """What a probe that succeeded has to say: a phrase, and numbers for programs."""

    reason: str
    facts: dict[str, Any] = {}  # noqa: RUF012 - never changed


class Ability(NamedTuple):
    """The answer to one probe.

    Parameters
    ----------
    name : str
        The probe's.
    ok : bool
        Whether this host can.
    reason : str
        A phrase: how much, or why not, with the step and the kernel's reason.
    errno : str
        The kernel's reason by name, such as ``EPERM``; '' when it had none.
    facts : dict
        Numbers and words for programs.
    """

    name: str
    ok: bool
    reason: str
    errno: str
    facts: dict[str, Any]


class Refused(Exception):
    """A probe's "no".

    Parameters
    ----------
    reason : str
        A phrase.
    number : int
        The kernel's errno; 0 when it was not asked.
    facts : dict
        For programs.
    """

    def __init__(self, reason: str, number: int = 0, **facts: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.number = number
        self.facts = facts


class Probe(NamedTuple):
    """One question: its name for programs, its words for people, and how it is asked."""

    name: str
    title: str
    act: Callable[[Host], Finding]
    timeout_s: float = TIMEOUT_S


@contextlib.contextmanager
def doing(step: str, **facts: Any) -> Iterator[None]:
    """Name the step that the block takes: an OSError becomes a `Refused` that says it.

    Raises
    ------
    Refused
        With the kernel's errno, and `facts`.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        raise Refused(f"{step}: {os.strerror(number).lower()}", number, **facts) from error


def ask(probe: Probe, host: Host) -> Ability:
    """Ask a probe; whatever happens to it is an answer.

    Notes
    -----
    It forks, so the caller has no other thread that holds a lock.
    """
    try:
        found = in_child(lambda: probe.act(host), timeout_s=probe.timeout_s)
    except Refused as refusal:
        name = errno.errorcode.get(refusal.number, "")
        reason = f"{refusal.reason} ({name})" if name else refusal.reason
        return Ability(probe.name, ok=False, reason=reason, errno=name, facts=refusal.facts)
    return Ability(probe.name, ok=True, reason=found.reason, errno="", facts=found.facts)


def in_child(act: Callable[[], Finding], *, timeout_s: float = TIMEOUT_S) -> Finding:
    """Return what `act` finds in a forked child, which is gone afterwards with all that it started.

    Raises
    ------
    Refused
        As the child's; or it did not answer in time, or ended without an answer.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(act, writer)
    os.close(writer)
    # The child does the same: whoever comes first, no signal misses its children.
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    try:
        line = _read_line(reader, timeout_s)
    finally:
        os.close(reader)
        _end(child)
    if not line:
        raise Refused("it ended without an answer")
    answer = json.loads(line)
    if not answer["ok"]:
        raise Refused(answer["reason"], answer["number"], **answer["facts"])
    return Finding(answer["reason"], answer["facts"])


def _be_child(act: Callable[[], Finding], writer: int) -> NoReturn:
    answer: dict[str, Any] = {"ok": False, "reason": "it failed", "number": 0, "facts": {}}
    try:
        os.setpgid(0, 0)
        # What probes start has nothing to say to our terminal.
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        found = act()
        answer.update(ok=True, reason=found.reason, facts=found.facts)
    except Refused as refusal:
        answer.update(reason=refusal.reason, number=refusal.number, facts=refusal.facts)
    except OSError as error:
        number = error.errno or 0
        answer.update(reason=f"{error.filename or 'it'}: {os.strerror(number)}", number=number)
    except BaseException as error:  # noqa: BLE001 - a child must never run on in its parent's code
        answer.update(reason=f"{type(error).__name__}: {error}")
    finally:
        with contextlib.suppress(OSError):
            os.write(writer, json.dumps(answer).encode() + b"\n")
        os._exit(0)


def _read_line(fd: int, timeout_s: float) -> bytes:
    deadline_s = time.monotonic() + timeout_s
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    line = b""
    while not line.endswith(b"\n"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise Refused(f"no answer within {timeout_s:g} s", errno.ETIMEDOUT)
        data = os.read(fd, 1 << 16)
        if not data:
            break
        line += data
    return line


def _end(child: int) -> None:
    """Kill a child with its children, and reap it unless the kernel does not let it go."""
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    deadline_s = time.monotonic() + _END_TIMEOUT_S
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < deadline_s:
        time.sleep(0.0005)
