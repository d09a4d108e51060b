"""The daemon as a process of its own, with the real engine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockerlab.daemon.lock import hold_lock
from tests.unit.daemon.conftest import Connection


class Process:
    """One ``python -m dockerlab.daemon`` and what it says on its ready descriptor."""

    def __init__(self, root: Path, *arguments: str) -> None:
        reader, writer = os.pipe()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "dockerlab.daemon",
                "--root",
                str(root),
                "--socket",
                str(root / "s"),
                "--ready-fd",
                str(writer),
                *arguments,
            ],
            pass_fds=[writer],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "DOCKERLAB_IDLE_EXIT": "60"},
        )
        os.close(writer)
        with os.fdopen(reader) as ready:
            text = ready.readline()
        self.said: dict[str, Any] = json.loads(text) if text else {}

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=20)
        return self.process.returncode, output


@pytest.mark.needs_root
def test_a_daemon_says_where_it_listens_and_ends_in_order(short_path: Path) -> None:
    daemon = Process(short_path)
    try:
        assert daemon.said == {"socket": str(short_path / "s"), "pid": daemon.process.pid}
        connection = Connection(short_path / "s")
        connection.request("GET", "/version")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        status, output = daemon.end()
    assert (status, output) == (0, "")
    assert not (short_path / "s").exists()
    assert "listening on" in (short_path / "engine.log").read_text()


@pytest.mark.needs_root
def test_in_the_foreground_it_logs_to_standard_error(short_path: Path) -> None:
    daemon = Process(short_path, "--foreground")
    status, output = daemon.end(signal.SIGINT)
    assert status == 0
    assert "got SIGINT" in output
    assert not (short_path / "engine.log").exists()


def test_a_second_daemon_says_why_it_cannot_begin(short_path: Path) -> None:
    with hold_lock(short_path):
        daemon = Process(short_path)
        output, _ = daemon.process.communicate(timeout=20)
    assert f"(pid {os.getpid()})" in daemon.said["error"]
    assert "--root" in daemon.said["hint"]
    assert daemon.process.returncode == 1
    assert "Traceback" not in output + (short_path / "engine.log").read_text()


def test_wrong_settings_are_said_too(short_path: Path) -> None:
    daemon = Process(short_path, "--mirror", "ftp://x")
    output, _ = daemon.process.communicate(timeout=20)
    assert "ftp://x" in daemon.said["error"]
    assert (daemon.process.returncode, "Traceback" in output) == (1, False)
