"""The parts of starting an engine; whole starts are in tests/integration/test_autostart.py."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dockerlab.client import autostart
from dockerlab.client.autostart import (
    daemon_command,
    daemon_environment,
    ensure_engine,
    is_listening,
    log_tail,
)
from dockerlab.config import Settings, load_settings
from dockerlab.errors import EngineFailure, Unavailable


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({}, root=tmp_path / "root", socket=tmp_path / "e.sock")


def with_engine(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let `code` be the engine: a real process with the real descriptors."""

    def command(_settings: Settings, *, ready_fd: int | None = None) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", code.replace("READY", str(ready_fd))]

    monkeypatch.setattr(autostart, "daemon_command", command)


def test_a_socket_file_that_nobody_listens_on_is_not_an_engine(tmp_path: Path) -> None:
    path = tmp_path / "e.sock"
    assert not is_listening(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not is_listening(path)
        server.listen()
        assert is_listening(path)
    assert path.exists()
    assert not is_listening(path)


def test_the_command_line_has_all_that_the_engine_must_know(tmp_path: Path) -> None:
    settings = load_settings({}, root="/r", socket="/s", mirrors=["http://a", "http://b"])
    command = daemon_command(settings, ready_fd=7)
    assert command[1:4] == ["-P", "-m", "dockerlab.daemon"]
    assert command[4:] == [
        *("--root", "/r", "--socket", "/s", "--mirror", "http://a", "--mirror", "http://b"),
        *("--ready-fd", "7"),
    ]


def test_the_engine_finds_this_very_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "relative")
    paths = daemon_environment()["PYTHONPATH"].split(":")
    assert Path(paths[0], "dockerlab", "client", "autostart.py").exists()
    assert all(path.startswith("/") for path in paths)


def test_an_engine_that_ends_at_once_is_an_error_with_the_end_of_its_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.data_root.mkdir()
    settings.log_path.write_text("of the last time\n")
    with_engine(monkeypatch, "raise SystemExit('the disk is on fire')")
    with pytest.raises(EngineFailure, match="the disk is on fire") as caught:
        ensure_engine(settings)
    assert "of the last time" not in caught.value.message
    assert str(settings.log_path) in caught.value.hint


def test_an_engine_that_says_why_it_cannot_is_quoted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_engine(monkeypatch, """import os; os.write(READY, b'{"error": "root in use"}\\n')""")
    with pytest.raises(EngineFailure, match="the engine did not start: root in use"):
        ensure_engine(settings)


def test_an_engine_that_is_about_to_end_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try meets the lock of the one that ends; the second finds the way free."""
    settings.data_root.mkdir()
    lock = settings.data_root / "lock"
    with_engine(
        monkeypatch,
        f"""if True:
            import os
            first = os.path.exists({str(lock)!r} + ".met")
            open({str(lock)!r} + ".met", "w").close()
            answer = '{{"socket": "/s", "pid": 7}}' if first else '{{"error": "busy"}}'
            os.write(READY, answer.encode() + bytes([10]))
        """,
    )
    with subprocess.Popen(["sleep", "0.2"]) as ending:
        lock.write_text(f"{ending.pid}\n")
        started = ensure_engine(settings)
    assert started.was_started
    assert started.pid == 7


def test_an_engine_that_says_nothing_is_given_up_and_ended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autostart, "READY_TIMEOUT_S", 0.2)
    with_engine(monkeypatch, "import signal; signal.pause()")
    with pytest.raises(Unavailable, match="did not get ready"):
        ensure_engine(settings)


def test_a_data_root_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load_settings({}, root=tmp_path / "file" / "root", socket=tmp_path / "s")
    with pytest.raises(EngineFailure, match="cannot make the folder") as caught:
        ensure_engine(settings)
    assert "DOCKERLAB_ROOT" in caught.value.hint


def test_an_engine_that_runs_is_not_started_again(settings: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(settings.socket_path))
        server.listen()
        assert not ensure_engine(settings).was_started
    assert not settings.data_root.exists()


def test_the_tail_of_a_log_is_short(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(5000)))
    lines = log_tail(path).splitlines()
    assert len(lines) == autostart.LOG_TAIL_LINES
    assert lines[-1] == "line 4999"
    assert log_tail(tmp_path / "none") == ""
