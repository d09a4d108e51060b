"""The standard streams of one process: its pipes or terminal, its log, its attached clients.

Bytes go from the process to the log and to every client, and from the clients to the process. A
client that does not read holds the process up, as a full pipe would, rather than filling memory.
Not here: who the process is, and when it ends (`runtime.supervised`).
"""

from __future__ import annotations

import os
import struct
import time
from collections import deque

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime.attachment import Attachment
from dockerlab.runtime.loop import GONE, READABLE, WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerlab.runtime.containerlog import ContainerLog
    from dockerlab.runtime.loop import Loop

__all__ = ["Stdio"]

_READ_BYTES = 64 * 1024
# Above the first the process's output waits for the slowest client, below the second it goes on.
_CONGESTED_BYTES = 1024 * 1024
_RELIEVED_BYTES = 512 * 1024
# A pipe holds 1 MiB at most (fs.pipe-max-size), unless root has raised that.
_LAST_READS = 64
# Input that the process has not read; then clients wait.
_INPUT_BYTES = 256 * 1024


class Stdio:
    """The streams of one process.

    Parameters
    ----------
    ends_with_client : bool
        Close the process's input when a client ends its own (Docker's StdinOnce).
    log : JsonFileLog, LocalLog or None
        Owned and closed here.
    on_first_byte : callable
        Called once, with the monotonic time in seconds.

    Attributes
    ----------
    on_alone : callable or None
        Called when the last client is gone.
    on_detach : callable or None
        Called when a client has typed its detach keys.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        ends_with_client: bool,
        log: ContainerLog | None,
        on_first_byte: Callable[[float], None] | None,
    ) -> None:
        self._loop = loop
        self._ends_with_client = ends_with_client
        self._log = log
        self._on_first_byte = on_first_byte
        self._attachments: list[Attachment] = []
        self.on_alone: Callable[[], None] | None = None
        self.on_detach: Callable[[], None] | None = None
        self._sources: dict[int, int] = {}
        self._terminal = -1
        self._stdin = -1
        # Input is taken from the start: what a client sends early waits for the process.
        self._takes_input = True
        self._input: deque[bytes | memoryview] = deque()
        self._input_bytes = 0
        self._input_is_ending = False
        self._is_congested = False
        self._is_finished = False
        self._on_output_end: Callable[[], None] | None = None

    # ------------------------------------------------------------------------------ the process

    def connect_pipes(self, stdin: int, sources: dict[int, int]) -> None:
        """Take our ends of the process's pipes.

        Parameters
        ----------
        stdin : int
            To write to; -1 for a process without input.
        sources : dict of int to int
            Descriptor to read from -> stream number.
        """
        self._sources = dict(sources)
        for fd in (*sources, *([stdin] if stdin >= 0 else [])):
            os.set_blocking(fd, False)
        self._connect_input(stdin)
        self._watch_sources()

    def connect_terminal(self, master: int, size: list[int] | None) -> None:
        """Take the master side of the process's terminal, which is both input and output."""
        self._terminal = master
        # Two descriptors, so that each direction can be watched, and closed, by itself.
        self.connect_pipes(os.dup(master), {master: 1})
        if size:
            self.resize(*size)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size; without one nothing happens. ioctl_tty(2)."""
        if self._terminal in self._sources:
            size = struct.pack("=HHHH", rows, columns, 0, 0)
            syscalls.ioctl_write(self._terminal, constants.TIOCSWINSZ, size)

    def finish(self, patience_s: float, on_end: Callable[[], None]) -> None:
        """Read what the ended process has left, then call `on_end`.

        Parameters
        ----------
        patience_s : float
            How long to wait for somebody else who still holds the pipes (a grandchild).
        """
        self._is_finished = True
        self._on_output_end = on_end
        self._close_input()
        self._is_congested = False
        # No more than a pipe holds is left when the writers are gone: it may exceed the bound of a
        # client's queue. A writer that is not gone must not keep us here for ever.
        for fd in list(self._sources):
            for _ in range(_LAST_READS):
                if fd not in self._sources or not self._read(fd):
                    break
        if self._sources:
            self._watch_sources()
            self._loop.call_later(patience_s, self._give_up)
        else:
            self._end_output()

    # ------------------------------------------------------------------------------- the clients

    def attach(self, fd: int, request: dict[str, Any]) -> None:
        """Join a client's connection, which is owned here from now on."""
        attachment = Attachment(self._loop, fd, request, self)
        self._attachments.append(attachment)
        leftover = request.get("leftover", "").encode("latin-1")
        if leftover and request["stdin"]:
            attachment.take(leftover)
        if self._is_finished and not self._sources:
            attachment.end()

    def let_go(self) -> None:
        """Leave the clients to whoever else has their connections, and has something to say."""
        for attachment in list(self._attachments):
            attachment.drop(is_shared=True)

    @property
    def queued_bytes(self) -> int:
        """Return how much is still to be sent to all clients."""
        return sum(each.queued_bytes for each in self._attachments)

    @property
    def has_clients(self) -> bool:
        """Tell whether anybody is attached."""
        return bool(self._attachments)

    def drop_clients(self) -> None:
        """Close every connection, sent or not."""
        for attachment in list(self._attachments):
            attachment.drop()

    # ------------------------------------------------------- what attachments call (their Owner)

    @property
    def has_room(self) -> bool:
        """Tell whether clients may give more input."""
        return self._input_bytes < _INPUT_BYTES

    def feed(self, data: bytes) -> None:
        """Take input for the process; without a reader it is thrown away, as Docker does."""
        if not self._takes_input or self._input_is_ending:
            return
        self._input.append(data)
        self._input_bytes += len(data)
        self._flush_input()

    def end_of_input(self) -> None:
        """Close the process's input behind what is queued, if a client's end means that."""
        if self._ends_with_client:
            self._input_is_ending = True
            self._flush_input()

    def detached(self) -> None:
        """Tell that a client went away by its keys."""
        if self.on_detach is not None:
            self.on_detach()

    def drained(self) -> None:
        """Let the process go on when the slowest client has caught up."""
        if self._is_congested and self._slowest() <= _RELIEVED_BYTES:
            self._is_congested = False
            self._watch_sources()

    def lost(self, attachment: Attachment) -> None:
        """Forget a client."""
        self._attachments.remove(attachment)
        self.drained()
        if not self._attachments and self.on_alone is not None:
            self.on_alone()

    # -------------------------------------------------------------------------------- output side

    def _watch_sources(self) -> None:
        for fd in self._sources:
            self._loop.watch(fd, READABLE, self._source_handler(fd))

    def _source_handler(self, fd: int) -> Callable[[int], None]:
        return lambda _events: self._source_ready(fd)

    def _source_ready(self, fd: int) -> None:
        if fd in self._sources and self._read(fd) and self._slowest() > _CONGESTED_BYTES:
            self._is_congested = True
            for each in self._sources:
                # Not merely no events: a hang-up would be reported again and again.
                self._loop.forget(each)

    def _read(self, fd: int) -> bool:
        """Read once; False when there is nothing now, or nothing any more."""
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # EIO: the last holder of the terminal's other side is gone
        if not data:
            self._close_source(fd)
            return False
        stream = self._sources[fd]
        if self._on_first_byte is not None:
            self._on_first_byte(time.monotonic())
            self._on_first_byte = None
        # Clients first: the log may wait for a disk.
        for attachment in list(self._attachments):
            attachment.offer(stream, data)
        if self._log is not None:
            self._log.write(stream, data)
        return True

    def _close_source(self, fd: int) -> None:
        self._loop.forget(fd)
        del self._sources[fd]
        os.close(fd)
        if not self._sources and self._is_finished:
            self._end_output()

    def _give_up(self) -> None:
        for fd in list(self._sources):
            self._close_source(fd)

    def _end_output(self) -> None:
        self._loop.cancel(self._give_up)
        if self._log is not None:
            self._log.close()
            self._log = None
        # Before the clients see the end: that is when they ask how it ended.
        on_end, self._on_output_end = self._on_output_end, None
        if on_end is not None:
            on_end()
        for attachment in list(self._attachments):
            attachment.end()

    def _slowest(self) -> int:
        return max((each.queued_bytes for each in self._attachments), default=0)

    # --------------------------------------------------------------------------------- input side

    def _connect_input(self, stdin: int) -> None:
        self._stdin = stdin
        if stdin < 0:
            self._close_input()
        else:
            self._flush_input()

    def _flush_input(self) -> None:
        if self._stdin < 0:
            return
        had_room = self.has_room
        try:
            while self._input:
                self._consume_input(os.write(self._stdin, self._input[0]))
        except BlockingIOError:
            pass
        except OSError:
            self._close_input()  # EPIPE: nobody reads it any more
            return
        if self._input_is_ending and not self._input:
            self._close_input()
            return
        self._loop.watch(self._stdin, WRITABLE if self._input else 0, self._input_ready)
        if self.has_room and not had_room:
            self._update_clients()

    def _consume_input(self, written: int) -> None:
        head = self._input.popleft()
        self._input_bytes -= written
        if written < len(head):
            self._input.appendleft(memoryview(head)[written:])

    def _input_ready(self, events: int) -> None:
        if events & GONE:
            self._close_input()
        else:
            self._flush_input()

    def _close_input(self) -> None:
        self._takes_input = False
        self._input.clear()
        self._input_bytes = 0
        if self._stdin >= 0:
            self._loop.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = -1
        # They may have waited for room; from now on it is thrown away.
        self._update_clients()

    def _update_clients(self) -> None:
        for attachment in list(self._attachments):
            attachment.update()
