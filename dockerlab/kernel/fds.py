"""Descriptors with an owner, and messages that carry descriptors.

Not a socket library: just what crosses between daemon, zygote, monitor and init, one message per
datagram of a SEQPACKET socket with its descriptors beside it (SCM_RIGHTS, unix(7)).
"""

from __future__ import annotations

import os
import socket
import struct

# The kernel allows 253 descriptors in one message (SCM_MAX_FD); no message of ours needs as many.
_MAX_FDS = 64
# A datagram cannot be larger than the sender's buffer, 208 KiB unless the host says otherwise.
MAX_MESSAGE_BYTES = 208 * 1024


class OwnedFd:
    """A descriptor that somebody owns and closes once.

    Closing sets the number to -1 at once: the kernel hands the number out again, and a second close
    would then hit somebody else's file.
    """

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> int:
        return self.number

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the number, -1 once it is closed."""
        return self.number

    def close(self) -> None:
        """Close; a second call does nothing."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    def release(self) -> int:
        """Give the descriptor away: the caller owns it from here."""
        number, self.number = self.number, -1
        return number


def send_message(sock: socket.socket, data: bytes, fds: list[int] | tuple[int, ...] = ()) -> None:
    """Send one datagram with descriptors; the kernel copies them, the caller still owns its own."""
    ancillary = []
    if fds:
        packed = struct.pack(f"={len(fds)}i", *fds)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)]
    sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)


def recv_message(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one datagram and its descriptors, which the caller owns; ``b""`` is the end."""
    data, ancillary, _, _ = sock.recvmsg(
        MAX_MESSAGE_BYTES, socket.CMSG_SPACE(_MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
    )
    fds: list[int] = []
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            count = len(value) // 4
            fds.extend(struct.unpack(f"={count}i", value[: count * 4]))
    return data, fds
