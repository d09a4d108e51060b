"""One attached client: a stream socket that sees output and may give input.

Docker's raw stream: without a terminal, output is framed (Engine API, "Stream format" of
/containers/{id}/attach); input never is. The client may close its writing half and go on reading.
"""

from __future__ import annotations

import socket
import struct
from collections import deque

from dockerlab.runtime.detachkeys import DetachKeys
from dockerlab.runtime.loop import GONE, READABLE, WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from dockerlab.runtime.loop import Loop

    class Owner(Protocol):
        """What an attachment tells the streams that it belongs to."""

        @property
        def has_room(self) -> bool:
            """Tell whether more input may be given."""

        def feed(self, data: bytes) -> None:
            """Take input for the process."""

        def end_of_input(self) -> None:
            """Note that a client will give no more input."""

        def detached(self) -> None:
            """Note that a client has typed its detach keys, and is gone."""

        def drained(self) -> None:
            """Note that a client has taken output."""

        def lost(self, attachment: Attachment) -> None:
            """Note that a client is gone."""


__all__ = ["Attachment", "frame_header"]

_READ_BYTES = 64 * 1024
# How much one send may gather; the kernel takes 1024 (UIO_MAXIOV).
_GATHER = 64


def frame_header(stream: int, length: int) -> bytes:
    r"""Return the eight bytes before a frame's payload.

    Examples
    --------
    >>> frame_header(1, 5)
    b'\x01\x00\x00\x00\x00\x00\x00\x05'
    """
    return struct.pack(">BxxxL", stream, length)


class Attachment:
    """One client's connection, which is owned here.

    Parameters
    ----------
    request : dict
        ``stdin``, ``stdout``, ``stderr``, ``is_multiplexed``, ``detach_keys``, ``leftover`` as in
        `runtime.protocol`; what is left over is the beginning of its input.
    """

    def __init__(self, loop: Loop, fd: int, request: dict[str, Any], owner: Owner) -> None:
        self._loop = loop
        self._sock = socket.socket(fileno=fd)
        self._sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._owner = owner
        self._streams = {stream for stream, name in ((1, "stdout"), (2, "stderr")) if request[name]}
        self._is_multiplexed = bool(request["is_multiplexed"])
        self._gives_input = bool(request["stdin"])
        self._detach_keys = DetachKeys(request.get("detach_keys", "").encode("latin-1"))
        self._queue: deque[bytes | memoryview] = deque()
        self._is_ending = False
        self._watched = -1
        self.queued_bytes = 0
        self.update()

    def offer(self, stream: int, data: bytes) -> None:
        """Queue output of `stream` for the client, if it wants it, and send what goes at once."""
        if stream not in self._streams:
            return
        was_empty = not self._queue
        if self._is_multiplexed:
            header = frame_header(stream, len(data))
            self._queue.append(header)
            self.queued_bytes += len(header)
        self._queue.append(data)
        self.queued_bytes += len(data)
        if was_empty:
            self._flush()

    def take(self, data: bytes) -> None:
        """Hand on what the client typed, and let it go when its detach keys are among that."""
        data, is_detached = self._detach_keys.feed(data)
        if data:
            self._owner.feed(data)
        if is_detached:
            self._gives_input = False
            self._owner.detached()
            self.drop()

    def end(self) -> None:
        """Close the connection as soon as everything queued is sent."""
        self._is_ending = True
        self._gives_input = False
        if self._queue:
            self.update()
        else:
            self.drop()

    def drop(self, *, is_shared: bool = False) -> None:
        """Close the connection now; one that `is_shared` goes on where it is open elsewhere."""
        if self._sock.fileno() < 0:
            return
        self._loop.forget(self._sock.fileno())
        if not is_shared:
            _shut_down(self._sock)
        self._sock.close()
        self._queue.clear()
        self.queued_bytes = 0
        self._owner.lost(self)

    def update(self) -> None:
        """Watch for what matters now."""
        if self._sock.fileno() < 0:
            return
        reads = READABLE if self._gives_input and self._owner.has_room else 0
        wanted = reads | (WRITABLE if self._queue else 0)
        if wanted != self._watched:
            self._loop.watch(self._sock.fileno(), wanted, self._ready)
            self._watched = wanted

    def _ready(self, events: int) -> None:
        if events & WRITABLE:
            self._flush()
        if self._gives_input and events & (READABLE | GONE):
            if self._owner.has_room:
                self._read()
            elif events & GONE and self._sock.fileno() >= 0:
                # Its last input is read when the process has taken what it has; until then the
                # event would come again and again.
                self._loop.forget(self._sock.fileno())
                self._watched = -1
        elif events & GONE:
            self.drop()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.take(data)
            return
        self._gives_input = False
        if held := self._detach_keys.rest():
            self._owner.feed(held)
        self._owner.end_of_input()
        self.update()

    def _flush(self) -> None:
        while self._queue:
            try:
                sent = self._sock.sendmsg(
                    [self._queue[i] for i in range(min(len(self._queue), _GATHER))],
                    [],
                    socket.MSG_NOSIGNAL,
                )
            except BlockingIOError:
                break
            except OSError:
                self._hang_up()
                return
            self._consume(sent)
        self._owner.drained()
        if self._is_ending and not self._queue:
            self.drop()
        else:
            self.update()

    def _consume(self, sent: int) -> None:
        self.queued_bytes -= sent
        while sent:
            head = self._queue.popleft()
            if len(head) > sent:
                self._queue.appendleft(memoryview(head)[sent:])
                return
            sent -= len(head)

    def _hang_up(self) -> None:
        """Let go of a client that does not read any more; what it has sent before still counts."""
        gave_input, self._gives_input = self._gives_input, False
        self.drop()
        if gave_input:
            self._owner.end_of_input()


def _shut_down(sock: socket.socket) -> None:
    """Let the client see the end, also when somebody else still has a copy of the socket."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was not connected any more
