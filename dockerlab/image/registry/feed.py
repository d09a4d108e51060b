"""The pipe from a download to the layer worker: it never blocks for ever, and leaves no worker.

Bytes go in on one side; what the worker made of them comes out at the end.
"""

import fcntl
import os
import select
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dockerlab.errors import Cancelled, DockerlabError
from dockerlab.image.registry.unpacking import Unpacked, Unpacker
from dockerlab.oci.digest import Digest

__all__ = ["Feed"]

# /proc/sys/fs/pipe-max-size of an unprivileged user; a full megabyte saves wake-ups.
_PIPE_BYTES = 1 << 20
_POLL_MS = 100


class Feed:
    """One layer on its way to a worker; a context manager that leaves no worker behind.

    Left without `finish`, the worker is told that there is no more, and waited for: the staging
    folder is then free of it.
    """

    def __init__(self, unpacker: Unpacker, stop: threading.Event) -> None:
        self._unpacker = unpacker
        self._stop = stop
        self._fd = -1
        self._is_read = True
        self._poll = select.poll()

    def start(self, diff_id: Digest, staging: Path, media_type: str) -> None:
        """Start the worker."""
        theirs, self._fd = os.pipe()
        with suppress(OSError):
            # Refused above the user's limit of pipe memory: a smaller pipe does as well.
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self._fd, False)
        self._poll.register(self._fd, select.POLLOUT)
        try:
            self._job = self._unpacker.start(diff_id, staging, media_type, theirs)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._fd >= 0:
            self._close()
            # Its complaint about the missing rest is not what went wrong.
            with suppress(DockerlabError):
                self._job.result()

    def write(self, data: bytes) -> None:
        """Pass on `data`; a worker that has given up is not an error here but in `finish`.

        Raises
        ------
        Cancelled
            The pull ends while the worker is busy.
        """
        rest = memoryview(data)
        while rest and self._is_read:
            if self._stop.is_set():
                raise Cancelled("the pull was cancelled")
            if not self._poll.poll(_POLL_MS):
                continue
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._is_read = False

    def finish(self) -> Unpacked:
        """Say that this was all, and return the worker's report or raise its error."""
        self._close()
        return self._job.result()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)
