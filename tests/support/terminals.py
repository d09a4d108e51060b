"""A program on a terminal of its own, driven as a person would: typed to, looked at, resized."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["Terminal", "on_terminal"]

PATIENCE_S = 30.0


class Terminal:
    """The outer side of a terminal, and the program on it."""

    def __init__(self, master: int, process: "subprocess.Popen[bytes]") -> None:
        self._master = master
        self.process = process
        self.seen = b""

    def type(self, *pieces: bytes) -> None:
        """Type the pieces, each by itself, as keys that are pressed one after the other."""
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(0.2)
            os.write(self._master, piece)

    def wait_for(self, text: bytes) -> bytes:
        """Return what came until `text`, which is taken off; raise TimeoutError with the rest."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            if not self._read(deadline):
                raise TimeoutError(f"{text!r} did not come, but {self.seen[-2000:]!r}")
        before, _, self.seen = self.seen.partition(text)
        return before

    def resize(self, rows: int, columns: int) -> None:
        """Change its size; the kernel tells the program (SIGWINCH)."""
        size = struct.pack("=HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def end(self) -> int:
        """Read until the program has ended, and return its exit status."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE_S)

    def _read(self, deadline: float) -> bool:
        readable, _, _ = select.select(
            [self._master], [], [], max(0.0, deadline - time.monotonic())
        )
        try:
            data = os.read(self._master, 1 << 16) if readable else b""
        except OSError:  # EIO: nobody has the inner side any more
            data = b""
        self.seen += data
        return bool(data)


@contextmanager
def on_terminal(
    command: Sequence[str], environ: dict[str, str], *, rows: int = 24, columns: int = 80
) -> Iterator[Terminal]:
    """Run a program on a new terminal, and kill it when it is still there at the end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("=HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        # Its controlling terminal too, or nobody would tell it of a new size.
        ["setsid", "--ctty", *command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, **environ},
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(master)
