"""Plain text in the cell: lines of ours, and a program's bytes as they come.

Chunks of a program's output end anywhere, also in the middle of a character; the decoders keep the
rest for the next chunk. Bytes that are no UTF-8 are shown as U+FFFD, never raised.
"""

import codecs
import sys
from typing import Any

__all__ = ["CellOutput", "Lines", "LogText", "say"]


def say(line: str) -> None:
    """Write one line to the standard output of the cell that runs now."""
    # Looked up at each call: ipykernel and pytest put their own streams here.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class CellOutput:
    """Writes a program's output to the two streams of the cell that runs now."""

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {name: decoder(errors="replace") for name in ("stdout", "stderr")}

    def write(self, stream: str, data: bytes) -> None:
        """Show a chunk of `stream` ("stdout" or "stderr") now."""
        self._show(stream, self._decoders[stream].decode(data))

    def finish(self) -> None:
        """Show what an unfinished character left behind."""
        for stream, decoder in self._decoders.items():
            self._show(stream, decoder.decode(b"", final=True))

    @staticmethod
    def _show(stream: str, text: str) -> None:
        if not text:
            return
        target = sys.stdout if stream == "stdout" else sys.stderr
        target.write(text)
        target.flush()


class Lines(list[str]):
    """A list of strings that is shown as lines, as a command prints them."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - IPython's protocol
        printer.text("[...]" if cycle else "\n".join(self))


class LogText(str):
    """Text that is shown as it is, not as a Python literal."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's protocol
        printer.text(self.removesuffix("\n"))
