"""Find the process of an engine by its socket, and end it.

The process is the one that the kernel names as the socket's owner (SO_PEERCRED, unix(7)): there is
no file with a number in it that may be stale, and no other process can be hit.
"""

import os
import select
import signal
import socket
import struct
from pathlib import Path

from dockerlab.client.refusals import check, engine_errors
from dockerlab.client.session import Session, connect
from dockerlab.config import Settings
from dockerlab.errors import Conflict, DockerlabError, Unavailable

__all__ = ["engine_pid", "stop_engine"]

# struct ucred: pid, uid, gid; unix(7).
UCRED = struct.Struct("3i")
CONNECT_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 20.0

# How the command line of an engine is told from that of another process.
ENGINE_MODULE = b"dockerlab.daemon"


def engine_pid(socket_path: Path) -> int | None:
    """Return the process that listens on the socket; None when nobody does.

    It answers also when the process itself does not: the kernel remembers who called listen(2).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        try:
            probe.connect(os.fspath(socket_path))
        except OSError:
            return None
        pid, _, _ = UCRED.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid or None


def stop_engine(settings: Settings, *, timeout_s: float = STOP_TIMEOUT_S) -> int | None:
    """Ask the engine to end, and wait until its process is gone; its containers go on.

    Parameters
    ----------
    settings : Settings
        Of the engine.
    timeout_s : float
        Seconds to wait for its end.

    Returns
    -------
    int or None
        Its process id; None when no engine ran.

    Raises
    ------
    Conflict
        What listens on the socket is not an engine of ours.
    Unavailable
        It did not end in time.
    """
    pid = engine_pid(settings.socket_path)
    if pid is None:
        return None
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return pid
    try:
        # From here on the number cannot come to mean another process: the descriptor pins it.
        _check_is_engine(pid, settings)
        if not _ask(settings):
            signal.pidfd_send_signal(process, signal.SIGTERM)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            raise Unavailable(
                f"the engine (pid {pid}) did not end within {timeout_s:.0f} s",
                hint=f'its log is "{settings.log_path}"',
            )
    finally:
        os.close(process)
    return pid


def _ask(settings: Settings) -> bool:
    """Ask it over its socket; False when it does not take the order."""
    try:
        session = connect("dockerlab", settings=settings, start=False)
        _post_shutdown(session)
    except DockerlabError:
        return False
    return True


def _post_shutdown(session: Session) -> None:
    with engine_errors(session.address):
        try:
            check(session.api.post(f"{session.api.base_url}/dockerlab/shutdown", timeout=5))
        finally:
            session.close()


def _check_is_engine(pid: int, settings: Settings) -> None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        command = []
    if ENGINE_MODULE not in command:
        name = b" ".join(command).decode(errors="replace").strip() or "a process of another user"
        raise Conflict(
            f'what listens on "{settings.socket_path}" is not an engine of dockerlab:'
            f" pid {pid}, {name}"
        )
