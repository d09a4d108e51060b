"""`dockerlab engine …` with real engines: many starters at once, and the form for supervisors."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerlab.client.autostart import is_listening
from dockerlab.client.shutdown import engine_pid, stop_engine
from dockerlab.config import Settings, load_settings
from tests.support.engine import wait_until
from tests.support.probes import why_not


@pytest.fixture
def settings() -> Iterator[Settings]:
    for marker in ("needs_root", "needs_namespaces", "needs_overlay"):
        if reason := why_not(marker):
            pytest.skip(f"{marker}: {reason}")
    base = Path(tempfile.mkdtemp(prefix="dl-"))
    chosen = load_settings({}, root=base / "root", socket=base / "engine.sock")
    yield chosen
    stop_engine(chosen)
    shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(chosen.runtime_dir, ignore_errors=True)


def command(settings: Settings, *words: str) -> list[str]:
    place = ["--root", str(settings.data_root), "--socket", str(settings.socket_path)]
    return [sys.executable, "-m", "dockerlab", "engine", *words, *place]


def test_ten_that_start_it_at_once_get_one_engine(settings: Settings) -> None:
    starters = [
        subprocess.Popen(command(settings, "start"), stdout=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    answers = [starter.communicate(timeout=90)[0].splitlines() for starter in starters]

    assert {starter.returncode for starter in starters} == {0}
    assert sum(lines[0].startswith("the engine listens") for lines in answers) == 1
    assert len({lines[0].partition("(")[2] for lines in answers}) == 1
    assert {lines[1] for lines in answers} == {f"export DOCKER_HOST=unix://{settings.socket_path}"}


def test_in_the_foreground_the_command_is_the_engine(settings: Settings) -> None:
    process = subprocess.Popen(
        command(settings, "start", "--foreground"), stderr=subprocess.DEVNULL
    )
    wait_until(lambda: is_listening(settings.socket_path), "the engine listens")

    assert engine_pid(settings.socket_path) == process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not settings.socket_path.exists()


def test_an_engine_that_does_not_answer_is_stopped_all_the_same(settings: Settings) -> None:
    """Its process is found by the kernel, not by asking it."""
    subprocess.run(command(settings, "start"), check=True, capture_output=True)
    pid = engine_pid(settings.socket_path)
    assert pid is not None
    # It cannot answer while it is stopped; the order is waiting for it when it goes on.
    os.kill(pid, signal.SIGSTOP)
    stopper = subprocess.Popen(command(settings, "stop"), stdout=subprocess.PIPE, text=True)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            stopper.wait(1)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert stopper.communicate(timeout=30)[0] == f"the engine has ended (pid {pid})\n"
    assert stopper.returncode == 0
    assert engine_pid(settings.socket_path) is None


def test_status_tells_programs_what_it_tells_people(settings: Settings) -> None:
    subprocess.run(command(settings, "start"), check=True, capture_output=True)
    told = subprocess.run(
        command(settings, "status", "--json"), check=True, capture_output=True, text=True
    )

    status = json.loads(told.stdout)
    assert status["is_running"]
    assert status["pid"] == engine_pid(settings.socket_path)
    assert (status["tier"], status["default_network"]) == ("rootful", "bridge")


def test_a_second_engine_on_one_data_root_is_refused(settings: Settings, tmp_path: Path) -> None:
    subprocess.run(command(settings, "start"), check=True, capture_output=True)
    elsewhere = load_settings({}, root=settings.data_root, socket=tmp_path / "other.sock")

    refused = subprocess.run(
        command(elsewhere, "start"), check=False, capture_output=True, text=True
    )

    assert refused.returncode == 1
    assert f"(pid {engine_pid(settings.socket_path)})" in refused.stderr
