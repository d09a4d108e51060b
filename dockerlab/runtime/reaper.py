"""PID 1 over a program (``docker run --init``): it hands on signals, reaps orphans, ends with it.

What tini does in Docker. A program of the host's inside the container, or one of the container's as
PID 1, would be a way in or a way out; so it is the first process itself that stays, as it is after
the pivot: the container's user, capabilities and filter, no import possible, not dumpable, so that
nobody inside can trace it or open its files without CAP_SYS_PTRACE, and then finds the sealed copy
of the interpreter.
"""

from __future__ import annotations

import os
import signal

from dockerlab.kernel import commandline, syscalls
from dockerlab.runtime.zygote import run_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

__all__ = ["stay"]

# About this process itself, or never another's to have.
_NOT_HANDED_ON = frozenset(
    {
        signal.SIGCHLD,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGABRT,
        signal.SIGTRAP,
        signal.SIGSYS,
        signal.SIGTTIN,
        signal.SIGTTOU,
    }
)
_NAME = "docker-init"


def stay(execute: Callable[[], None], args: list[str], span: tuple[int, int]) -> NoReturn:
    """Fork the program and be its supervisor until its end; the exit code is the program's.

    Parameters
    ----------
    execute : callable
        Executes the program, in the child; reports why when it cannot.
    args : list of str
        The program's, shown behind our name as Docker's are.
    span : tuple of int
        `commandline.find_span`, found before the pivot.
    """
    waited = signal.valid_signals()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    syscalls.set_process_name(_NAME)
    # Before the program can look: what it replaces are paths of the host.
    commandline.show(span, [f"/sbin/{_NAME}", "--", *args])
    # Blocked before the fork: none may come while nobody waits for it.
    signal.pthread_sigmask(signal.SIG_SETMASK, waited)
    pid = os.fork()
    if pid == 0:
        run_child(lambda: _begin(execute))
    # The last copies of what the program must not have, and of what says that it was executed.
    syscalls.close_range(3)
    while True:
        number = signal.sigwait(waited)
        if number == signal.SIGCHLD:
            status = _reap(pid)
            if status is not None:
                os._exit(status)
        elif number not in _NOT_HANDED_ON:
            _hand_on(pid, number)


def _begin(execute: Callable[[], None]) -> None:
    # A process group of its own, in the foreground: what a terminal sends goes to the program.
    os.setpgid(0, 0)
    if os.isatty(0):
        os.tcsetpgrp(0, os.getpid())
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    execute()


def _reap(program: int) -> int | None:
    """Reap whoever has ended; return the exit code if that was the program."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code


def _hand_on(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return  # It has another user now, or is gone: a signal more or less ends nobody here.
