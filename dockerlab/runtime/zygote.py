"""The zygote: a small warm process whose children are monitors and workers.

It knows no job by name: `serve` gets the table from the file that starts it. It is single-threaded
for life, for a threaded process may neither fork safely nor enter a user namespace. The other end
of its socket is `runtime.launch`.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Job = Callable[[dict[str, Any], list[int]], None]

# Said to a zygote that may make no namespace at all.
NO_NAMESPACES = "-"


def serve(
    sock_fd: int, jobs: dict[str, Job], enter: Callable[[socket.socket], None] | None = None
) -> None:
    """Fork a child for every job that arrives on `sock_fd`, until the other end closes.

    Parameters
    ----------
    enter : callable, optional
        Enters the namespaces that this process and all its children live in, once.

    Notes
    -----
    Children that end are reaped by the kernel: nobody here waits, whoever wants to know how a job
    ended gives it a descriptor to tell.
    """
    # Inherited by mistake, or the interpreter's own copy in memory: no child may have it.
    syscalls.close_range(3, sock_fd - 1)
    syscalls.close_range(sock_fd + 1)
    sock = socket.socket(fileno=sock_fd)
    sock.set_inheritable(False)
    syscalls.set_process_name("dl-zygote")
    # A child must not be killed, or kill its container, because a terminal sent SIGINT to us all.
    os.setsid()
    _forget_signals()
    if enter is not None:
        enter(sock)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What is loaded now is shared with every child: no collection may touch, and copy, its pages.
    gc.collect()
    gc.disable()
    gc.freeze()
    protocol.send(sock, {"type": "ready", "pid": os.getpid()})
    while True:
        message, fds = protocol.receive(sock)
        if message is None:
            return
        try:
            _fork(sock, jobs[message["job"]], message["args"], fds)
        except Exception as error:  # noqa: BLE001 - one bad job must not end all others
            # Who submitted it sees its descriptors close.
            os.write(2, f"job {message.get('job')}: {describe(error)}".encode("utf-8", "replace"))
        for fd in fds:
            os.close(fd)


def _forget_signals() -> None:
    """Give back what the daemon's parents have ignored or blocked (nohup, a notebook's kernel)."""
    kept_by_python = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN and number not in kept_by_python:
            signal.signal(number, signal.SIG_DFL)
    syscalls.forget_internal_signals()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def leave_mount_namespace() -> None:
    """Let mounts of the host arrive here, and none of ours reach the host."""
    syscalls.unshare(constants.CLONE_NEWNS)
    syscalls.mount("none", "/", "", constants.MS_REC | constants.MS_SLAVE, "")


def _fork(sock: socket.socket, job: Job, args: dict[str, Any], fds: list[int]) -> None:
    if os.fork() == 0:
        run_child(lambda: _start_job(sock, job, args, fds))


def _start_job(sock: socket.socket, job: Job, args: dict[str, Any], fds: list[int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sock.close()
    job(args, fds)


def run_child(body: Callable[[], None]) -> NoReturn:
    """Run `body` as the whole life of a forked child: no exception leaves it, nothing is flushed.

    The exit code is 0, or 1 after an exception, which goes to the engine's log.
    """
    code = 1
    try:
        body()
        code = 0
    except BaseException as error:  # noqa: BLE001 - the top of a process: behind it is nobody
        os.write(2, describe(error).encode("utf-8", "replace"))
    finally:
        os._exit(code)


def describe(error: BaseException) -> str:
    """Return an error and where it was raised, in one line.

    The `traceback` module would open source files by their path: in a container's root those are
    the container's files.
    """
    places = []
    frame = error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        places.append(f"{os.path.basename(code.co_filename)}:{frame.tb_lineno} {code.co_name}")
        frame = frame.tb_next
    return f"{type(error).__name__}: {error} ({' < '.join(reversed(places))})\n"


def block_imports() -> None:
    """Make every later import fail, before this process looks at a container's files.

    Code is never loaded from there (CVE-2019-14271 was a library loaded after chroot(2)).
    """
    sys.meta_path.clear()
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
