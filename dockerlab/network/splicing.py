"""Two TCP connections joined in the kernel: bytes go from socket to pipe to socket by splice(2).

Nothing of what passes is copied to this process. Both ends of a connection may close their half on
their own, as TCP allows. A pipe is taken while bytes are on their way and given back then, so that
connections on which nobody speaks cost two sockets and no more.
"""

import contextlib
import fcntl
import os
import socket
import struct
from errno import EAGAIN
from typing import NamedTuple

__all__ = ["Joint", "Pipes"]

_PIPE_BYTES = 256 << 10
# Turns of one connection before the others of the loop get theirs.
_TURNS = 16
_SPARE = 64
_RESET = struct.pack("ii", 1, 0)


class _Pipe(NamedTuple):
    out: int
    into: int


class Pipes:
    """Pipes that are empty and wait for use."""

    def __init__(self) -> None:
        self._spare: list[_Pipe] = []

    def take(self) -> _Pipe:
        """Return an empty pipe.

        Raises
        ------
        OSError
            There are no descriptors left.
        """
        if self._spare:
            return self._spare.pop()
        pipe = _Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        with contextlib.suppress(OSError):
            # A user may have just so much memory in pipes (pipe(7)): then the usual size does.
            fcntl.fcntl(pipe.into, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return pipe

    def give(self, pipe: _Pipe, *, is_empty: bool) -> None:
        """Take a pipe back."""
        if is_empty and len(self._spare) < _SPARE:
            self._spare.append(pipe)
            return
        os.close(pipe.out)
        os.close(pipe.into)


class _Direction:
    """What flows from one socket to the other, through a pipe."""

    def __init__(self, pipes: Pipes, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self._pipes = pipes
        self._pipe: _Pipe | None = None
        self._waiting_bytes = 0
        self._has_ended = False
        self.is_done = False

    def pump(self) -> bool:
        """Move what can be moved; True when there may be more at once."""
        for _ in range(_TURNS):
            if not (self._fill() | self._drain()) or self.is_done:
                break
        else:
            return True
        if not self._waiting_bytes:
            self.close()
        return False

    def _fill(self) -> bool:
        if self._has_ended:
            return False
        if self._pipe is None:
            self._pipe = self._pipes.take()
        count = _splice(self.source.fileno(), self._pipe.into)
        self._has_ended = count == 0
        self._waiting_bytes += max(count, 0)
        return count >= 0

    def _drain(self) -> bool:
        moved = 0
        if self._waiting_bytes and self._pipe is not None:
            moved = max(_splice(self._pipe.out, self.sink.fileno()), 0)
            self._waiting_bytes -= moved
        if self._has_ended and not self._waiting_bytes and not self.is_done:
            self.is_done = True
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)
        return moved > 0

    def close(self) -> None:
        """Give the pipe back."""
        if self._pipe is not None:
            self._pipes.give(self._pipe, is_empty=not self._waiting_bytes)
            self._pipe = None


class Joint:
    """A client's connection and the one to the container; both are owned."""

    def __init__(self, pipes: Pipes, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self._directions = (_Direction(pipes, client, server), _Direction(pipes, server, client))

    def pump(self) -> bool:
        """Move what can be moved; True when there may be more at once.

        Raises
        ------
        OSError
            An end is broken; the caller drops the joint.
        """
        first, second = (direction.pump() for direction in self._directions)
        return first or second

    @property
    def is_done(self) -> bool:
        """Tell whether both ends have said all that they will."""
        return all(direction.is_done for direction in self._directions)

    def close(self, *, is_broken: bool = False) -> None:
        """Close both; a broken one is told to the other side as a reset, not as a normal end."""
        for sock in (self.client, self.server):
            if is_broken:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
        for direction in self._directions:
            direction.close()


def _splice(source: int, sink: int) -> int:
    """Return the bytes moved, 0 at the end of the source, -1 when nothing can be moved now."""
    try:
        return os.splice(source, sink, _PIPE_BYTES, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
    except OSError as error:
        if error.errno == EAGAIN:
            return -1
        raise
