"""The namespace holder: a tiny process that keeps an engine's user namespace, and who joins it.

Without root all processes of an engine live in one user namespace. It must outlive the daemon and
the zygote, because the containers do: a new zygote in another one could not enter their namespaces.
So the first zygote leaves a holder behind, which gives the namespaces to whoever asks on its
socket. It lives as long as anybody has a connection to it open: a zygote has one, and every monitor
inherits it, so that with the last of them the holder goes too.

The holder keeps the engine's network namespace as well: what joins containers to each other lives
there, for a user owns no network of the host. Reading order: `enter`, then `_hold`.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime import protocol
from dockerlab.runtime.zygote import run_child

__all__ = ["SOCKET_NAME", "enter"]

# In the runtime folder of the engine.
SOCKET_NAME = "holder.sock"
_MONITOR_SOCKET_NAME = "monitor.sock"
_TIMEOUT_S = 5.0
# struct ucred: pid, uid, gid; unix(7).
_UCRED = "3i"


def enter(sock: socket.socket, runtime_dir: str) -> None:
    """Enter the engine's user namespace: the one that there is, or a new one.

    Parameters
    ----------
    sock : socket
        To the daemon, which maps the ids of a new namespace.
    runtime_dir : str
        Where the holder and the monitors listen.

    Notes
    -----
    The connection to the holder stays open for the life of this process and of its children, which
    is how the holder knows that it is needed.
    """
    path = os.path.join(runtime_dir, SOCKET_NAME)
    if _join_holder(path):
        return
    if not _join_monitor(runtime_dir):
        syscalls.unshare(constants.CLONE_NEWUSER)
        protocol.send(sock, {"type": "unshared", "pid": os.getpid()})
        if protocol.receive(sock)[0] is None:
            raise EOFError("the ids are not mapped")
    _drop_groups()
    _start_holder(path)


def _join_holder(path: str) -> bool:
    """Enter the namespace that the holder gives; False when there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(_TIMEOUT_S)
    try:
        connection.connect(path)
        message, fds = protocol.receive(connection)
    except OSError:
        message, fds = None, []
    if message is None or not fds:
        connection.close()
        return False
    syscalls.setns(fds[0], constants.CLONE_NEWUSER)
    for fd in fds:
        os.close(fd)
    _drop_groups()
    connection.detach()
    return True


def _join_monitor(runtime_dir: str) -> bool:
    """Enter the namespace of any monitor: for when the holder was killed too."""
    for name in os.listdir(runtime_dir):
        path = os.path.join(runtime_dir, name, _MONITOR_SOCKET_NAME)
        if not os.path.exists(path):
            continue
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(_TIMEOUT_S)
            try:
                connection.connect(path)
                # The kernel's word on who listens there; no file with a number may be stale.
                data = connection.getsockopt(
                    socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_UCRED)
                )
                pidfd = os.pidfd_open(struct.unpack(_UCRED, data)[0])
            except OSError:
                continue
        try:
            syscalls.setns(pidfd, constants.CLONE_NEWUSER)
        finally:
            os.close(pidfd)
        return True
    return False


def _drop_groups() -> None:
    """Leave the user's groups of the host behind; with one id the kernel does not allow that."""
    with open("/proc/self/setgroups", encoding="ascii") as file:
        is_allowed = file.read().strip() == "allow"
    if is_allowed:
        os.setgroups([])


def _start_holder(path: str) -> None:
    """Leave a holder behind and stay connected to it."""
    if os.path.lexists(path):
        os.unlink(path)  # A killed holder's; nobody else begins one, the daemon has the lock.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(_TIMEOUT_S)
    connection.connect(path)
    if os.fork() == 0:
        connection.close()
        run_child(lambda: _hold(listener))
    listener.close()
    # It answers when it has its namespaces.
    _, fds = protocol.receive(connection)
    for fd in fds:
        os.close(fd)
    connection.detach()


def _hold(listener: socket.socket) -> None:
    # As: uid 0 of the user namespace, all capabilities in it. Root and mounts: the host's.
    os.setsid()
    syscalls.close_range(3, listener.fileno() - 1)
    syscalls.close_range(listener.fileno() + 1)
    syscalls.set_process_name("dl-holder")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    syscalls.unshare(constants.CLONE_NEWNET)
    held = [
        os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("user", "net")
    ]
    made = os.lstat(listener.getsockname())
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                client, _ = listener.accept()
                clients[client.fileno()] = client
                poll.register(client, 0)  # Only its end is of interest.
                _give(client, held)
            else:
                poll.unregister(fd)
                clients.pop(fd).close()
        if not clients:
            _remove_own(listener, made)
            return


def _remove_own(listener: socket.socket, made: os.stat_result) -> None:
    """Take the socket's name away, unless a newer holder has it already."""
    path = listener.getsockname()
    try:
        if os.path.samestat(os.lstat(path), made):
            os.unlink(path)
    except FileNotFoundError:
        return


def _give(client: socket.socket, held: list[int]) -> None:
    try:
        protocol.send(client, {"type": "namespaces"}, held)
    except OSError:
        return  # It is gone already; its end comes next.
