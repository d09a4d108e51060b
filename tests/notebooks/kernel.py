"""A real Jupyter kernel for tests, and what its cells sent to the front end."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.manager import start_new_kernel

__all__ = ["Cell", "Kernel", "running_kernel"]

CELL_TIMEOUT_S = 60


@dataclass
class Cell:
    """What one cell gave. `arrivals` are (seconds since its begin, stream, text)."""

    stdout: str = ""
    stderr: str = ""
    error: list[str] = field(default_factory=list)
    error_name: str = ""
    displays: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[tuple[float, str, str]] = field(default_factory=list)

    @property
    def result(self) -> dict[str, Any]:
        """The mime bundle of the cell's value; {} when it has none."""
        found = [shown for shown in self.displays if shown["type"] == "execute_result"]
        return dict(found[-1]["data"]) if found else {}

    @property
    def text(self) -> str:
        """The cell's value as text."""
        return str(self.result.get("text/plain", ""))


class Kernel:
    """Runs cells in a kernel."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager = manager
        self._client = client

    def run(self, source: str, *, interrupt_when: str = "") -> Cell:
        """Run a cell; interrupt the kernel once it has written `interrupt_when`."""
        cell = Cell()
        waiting = [interrupt_when] if interrupt_when else []
        begin_s = time.monotonic()

        def take(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                text = content["text"]
                setattr(cell, content["name"], getattr(cell, content["name"]) + text)
                cell.arrivals.append((time.monotonic() - begin_s, content["name"], text))
                # Once: a second interrupt would hit what the cell does after the first.
                if waiting and waiting[0] in cell.stdout:
                    waiting.clear()
                    self._manager.interrupt_kernel()
            elif kind in ("execute_result", "display_data", "update_display_data"):
                cell.displays.append({"type": kind, **content})
            elif kind == "error":
                cell.error, cell.error_name = content["traceback"], content["ename"]

        self._client.execute_interactive(source, output_hook=take, timeout=CELL_TIMEOUT_S)
        return cell


@contextmanager
def running_kernel(environ: Mapping[str, str]) -> Iterator[Kernel]:
    """Start a kernel with these additions to the environment; end it with the block."""
    manager, client = start_new_kernel(
        kernel_name="python3", env={**os.environ, **environ}, startup_timeout=CELL_TIMEOUT_S
    )
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
