"""A hub for tests: `python -m dockerlab.hub serve` as a process, on a folder of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RunningHub", "running_hub"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningHub:
    """A started hub; `log` is what it wrote so far, in a file."""

    address: str
    root: Path
    log: Path

    @property
    def url(self) -> str:
        """The address with its scheme, as mirrors are configured."""
        return f"http://{self.address}"


@contextmanager
def running_hub(
    root: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> Iterator[RunningHub]:
    """Run a hub over the folder `root` until the block ends."""
    root.mkdir(parents=True, exist_ok=True)
    log = root / "log"
    command = [sys.executable, "-m", "dockerlab.hub", "serve", "--root", str(root / "data")]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=output,
            env=os.environ | dict(environ or {}),
        )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise RuntimeError(f"the hub did not start: {log.read_text()}")
        address = json.loads(line)["address"]
        try:
            yield RunningHub(address=address, root=root / "data", log=log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
