"""The streams of a foreground container: its output frames, its input, its exit.

Three descriptors are watched in one thread: the hijacked attach connection (Engine API,
``/containers/{id}/attach``), the sign that ``wait`` was answered, and the source of standard input.
Thus an interrupt arrives where it can be acted on, and `on_output` runs in the thread of the
caller, which is what a notebook cell needs.
"""

import io
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from dockerlab.client.refusals import check, engine_errors
from dockerlab.client.session import Session

__all__ = [
    "Conversation",
    "Ended",
    "ExitWatch",
    "FrameDecoder",
    "InputSource",
    "OnOutput",
    "StreamName",
    "WaitCondition",
    "open_attach",
]

StreamName = Literal["stdout", "stderr"]
OnOutput = Callable[[StreamName, bytes], None]
WaitCondition = Literal["not-running", "next-exit", "removed"]

CHUNK_BYTES = 65536
FRAME_HEADER_BYTES = 8
STDERR_FRAME = 2

# After the exit is known, output still in flight arrives at once; this bounds the wait for a stream
# that stays open because another process holds it.
DRAIN_TIMEOUT_S = 2.0


@dataclass(slots=True)
class FrameDecoder:
    """Splits an attached connection's bytes into the container's two streams.

    Parameters
    ----------
    is_multiplexed : bool
        Frames of 8 bytes of header and a payload; otherwise (a terminal) everything is stdout.
        Engine API, ``/containers/{id}/attach``, "Stream format".

    Examples
    --------
    >>> decoder = FrameDecoder(is_multiplexed=True)
    >>> decoder.feed(bytes([1, 0, 0, 0, 0, 0, 0, 2]) + b"h")
    [('stdout', b'h')]
    >>> decoder.feed(b"i")
    [('stdout', b'i')]
    """

    is_multiplexed: bool
    _header: bytearray = field(default_factory=bytearray)
    _left: int = 0
    _stream: StreamName = "stdout"

    def feed(self, data: bytes) -> list[tuple[StreamName, bytes]]:
        """Return the pieces in `data`; a payload is not held back until its frame is whole."""
        if not self.is_multiplexed:
            return [("stdout", data)]
        pieces: list[tuple[StreamName, bytes]] = []
        view = memoryview(data)
        while view:
            if self._left == 0:
                view = self._read_header(view)
                continue
            piece = view[: self._left]
            self._left -= len(piece)
            view = view[len(piece) :]
            pieces.append((self._stream, bytes(piece)))
        return pieces

    def _read_header(self, view: memoryview) -> memoryview:
        missing = FRAME_HEADER_BYTES - len(self._header)
        self._header += view[:missing]
        if len(self._header) == FRAME_HEADER_BYTES:
            self._stream = "stderr" if self._header[0] == STDERR_FRAME else "stdout"
            self._left = int.from_bytes(self._header[4:], "big")
            self._header.clear()
        return view[missing:]


class InputSource:
    """Standard input for a container: bytes, or a binary file that is read as it becomes ready.

    Parameters
    ----------
    source : bytes or file
        A file with a descriptor is read through it, past any buffer of the file object.
    """

    def __init__(self, source: bytes | BinaryIO) -> None:
        self.pending = memoryview(b"")
        self.is_at_end = False
        self._file: BinaryIO | None = None
        self.descriptor = -1
        if isinstance(source, (bytes, bytearray, memoryview)):
            self.pending = memoryview(source)
            self.is_at_end = True
            return
        self._file = source
        try:
            self.descriptor = source.fileno()
        except io.UnsupportedOperation:
            # In memory, such as BytesIO: never blocks, so it is read whenever there is room.
            self.refill()

    def refill(self) -> None:
        """Read the next piece; call it when nothing is pending and the descriptor is ready."""
        if self._file is None:
            return
        if self.descriptor >= 0:
            data = os.read(self.descriptor, CHUNK_BYTES)
        else:
            data = self._file.read(CHUNK_BYTES)
        self.pending = memoryview(data)
        self.is_at_end = not data


class ExitWatch:
    """A `wait` that the engine has registered; `result` gives the exit status once it is ready.

    The engine answers the head of the response at once and the body at the exit, so after the
    constructor no exit can be missed (moby, ``postContainersWait``: "send response headers now").
    The body is read in a thread: one that came together with the head lies in the buffers of the
    HTTP client already, where poll(2) does not see it.
    """

    def __init__(self, session: Session, container_id: str, condition: WaitCondition) -> None:
        self._address = session.address
        api = session.api
        with engine_errors(self._address):
            self._response = api.post(
                f"{api.base_url}/v{api.api_version}/containers/{container_id}/wait",
                params={"condition": condition},
                stream=True,
                timeout=None,
            )
            check(self._response)
        self._readable, end = os.pipe()
        thread = ThreadPoolExecutor(1, thread_name_prefix="wait")
        self._answer = thread.submit(self._response.json)
        self._answer.add_done_callback(lambda _: os.close(end))
        thread.shutdown(wait=False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the answer, or its failure, is there."""
        return self._readable

    def result(self) -> int:
        """Return the answer.

        Raises
        ------
        Unavailable
            The engine has ended before the container has.
        """
        with engine_errors(self._address):
            return int(self._answer.result()["StatusCode"])

    def close(self) -> None:
        """Give up waiting."""
        # It may have been read to its end, or broken, in this moment: then nothing is left to end.
        with suppress(RuntimeError, ValueError):
            self._response.raw.shutdown()
        wait({self._answer})
        self._response.close()
        os.close(self._readable)


def open_attach(session: Session, container_id: str, *, stdin: bool) -> socket.socket:
    """Attach to a container that was not started yet, and return the hijacked connection.

    Before the start nothing is sent, so no byte can be lost in docker-py's buffers.
    """
    api = session.api
    with engine_errors(session.address):
        response = api.post(
            f"{api.base_url}/v{api.api_version}/containers/{container_id}/attach",
            params={"stdin": int(stdin), "stdout": 1, "stderr": 1, "stream": 1},
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
            stream=True,
        )
        # docker-py's attach_socket gives a read end only, and leaves its connection open behind it;
        # a socket of our own can half-close, and be closed.
        with closing(response):
            check(response)
            connection = socket.socket(fileno=os.dup(response.raw.fileno()))
    connection.settimeout(None)
    return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a conversation: exit status, and when output and exit were seen (monotonic)."""

    exit_status: int
    output_end_s: float
    exit_s: float


class Conversation:
    """Moves bytes both ways between the caller and an attached container.

    Parameters
    ----------
    connection : socket
        The attached connection; closed by whoever opened it.
    decoder : FrameDecoder
        For its output.
    on_output : callable
        Is given the stream's name and bytes as they come.
    source : InputSource, optional
        Standard input; at its end the connection is half-closed.
    """

    def __init__(
        self,
        connection: socket.socket,
        decoder: FrameDecoder,
        on_output: OnOutput,
        source: InputSource | None = None,
    ) -> None:
        self._connection = connection
        self._decoder = decoder
        self._on_output = on_output
        self._source = source
        # An interrupt may come while a piece is delivered; the others must not be lost with it.
        self._undelivered: deque[tuple[StreamName, bytes]] = deque()
        self._has_output = True
        self._output_end_s = 0.0

    def until_exit(self, watch: ExitWatch, timeout_s: float = float("inf")) -> Ended:
        """Go on until the container has exited and its output is at its end.

        After an interrupt, or another failure, it may be called again: nothing is lost.

        Parameters
        ----------
        watch : ExitWatch
            Registered before the start.
        timeout_s : float
            Seconds that the exit may take.

        Raises
        ------
        TimeoutError
            It took longer.
        Unavailable
            The engine ended before the container did.
        """
        deadline_s = time.monotonic() + timeout_s
        status: int | None = None
        exit_s = 0.0
        while True:
            self._deliver()
            self._close_input_at_end()
            if status is not None and not self._has_output:
                break
            ready = self._poll(None if status is not None else watch, deadline_s)
            if not ready and time.monotonic() >= deadline_s:
                if status is None:
                    raise TimeoutError
                break
            for fd in ready:
                if status is None and fd == watch.fileno():
                    status = watch.result()
                    exit_s = time.monotonic()
                else:
                    self._move(fd)
            if status is not None:
                deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
        output_end_s = self._output_end_s or time.monotonic()
        return Ended(exit_status=status, output_end_s=output_end_s, exit_s=exit_s)

    def _move(self, fd: int) -> None:
        if fd == self._connection.fileno():
            self._move_output()
            self._move_input()
        elif self._source is not None:
            self._source.refill()

    def _poll(self, watch: ExitWatch | None, deadline_s: float) -> list[int]:
        # poll(2) and not epoll(7): standard input may be a regular file.
        poll = select.poll()
        source = self._source
        wanted = select.POLLIN if self._has_output else 0
        if source is not None and source.pending:
            wanted |= select.POLLOUT
        if wanted:
            poll.register(self._connection, wanted)
        if source is not None and not source.pending and source.descriptor >= 0:
            poll.register(source.descriptor, select.POLLIN)
        # Last, so that output that came before the exit is moved before it.
        if watch is not None:
            poll.register(watch.fileno(), select.POLLIN)
        left_s = deadline_s - time.monotonic()
        timeout_ms = None if left_s == float("inf") else max(0.0, left_s) * 1000
        return [fd for fd, _ in poll.poll(timeout_ms)]

    def _move_output(self) -> None:
        try:
            data = self._connection.recv(CHUNK_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if data:
            self._undelivered.extend(self._decoder.feed(data))
            self._deliver()
            return
        self._has_output = False
        self._output_end_s = time.monotonic()
        # A container without output may still read: only its exit ends its input.

    def _deliver(self) -> None:
        while self._undelivered:
            self._on_output(*self._undelivered.popleft())

    def _move_input(self) -> None:
        source = self._source
        if source is None or not source.pending:
            return
        try:
            sent = self._connection.send(source.pending, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except ConnectionError:
            # The container has closed its input, as `head` does; what is left has no reader.
            self._source = None
            return
        source.pending = source.pending[sent:]
        if not source.pending and source.descriptor < 0 and not source.is_at_end:
            source.refill()

    def _close_input_at_end(self) -> None:
        source = self._source
        if source is not None and source.is_at_end and not source.pending:
            self._source = None
            try:
                self._connection.shutdown(socket.SHUT_WR)
            except OSError:
                # Already gone with the container; the exit says the rest.
                return
