"""Only an engine of ours is ended, and it is found by its socket."""

import os
import socket
from pathlib import Path

import pytest

from dockerlab.client.shutdown import engine_pid, stop_engine
from dockerlab.config import load_settings
from dockerlab.errors import Conflict


def test_the_kernel_says_who_listens(tmp_path: Path) -> None:
    path = tmp_path / "e.sock"
    assert engine_pid(path) is None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert engine_pid(path) == os.getpid()
    assert engine_pid(path) is None


def test_another_program_on_the_socket_is_left_alone(tmp_path: Path) -> None:
    settings = load_settings({}, root=tmp_path / "root", socket=tmp_path / "e.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(settings.socket_path))
        server.listen()
        with pytest.raises(Conflict, match="is not an engine of dockerlab"):
            stop_engine(settings)


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    assert stop_engine(load_settings({}, root=tmp_path, socket=tmp_path / "s")) is None
