"""The `dockerlab` command without an engine; with one, see tests/integration/test_cli.py."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import dockerlab
from dockerlab.cli import main

STATUS = {
    "version": "0.1.0",
    "pid": 7,
    "socket_path": "/s",
    "data_root": "/r",
    "log_path": "/r/engine.log",
    "tier": "rootful",
    "tier_reason": "",
    "cgroup_version": "2",
    "sealed_interpreter": True,
    "default_network": "none",
    "mirrors": ["http://127.0.0.1:5000"],
    "containers_running": 1,
    "containers_paused": 0,
    "containers_stopped": 2,
    "images": 3,
    "warnings": ["no swap limit"],
}


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    return ["--root", str(tmp_path / "root"), "--socket", str(tmp_path / "e.sock")]


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"dockerlab {dockerlab.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["engine"], ["engine", "fly"], ["engine", "stop", "x"]])
def test_a_wrong_command_line_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: dockerlab" in capsys.readouterr().err


def test_status_without_an_engine_is_exit_code_3(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "status", *place]) == 3
    assert capsys.readouterr().out == f"no engine listens on {place[-1]}\n"
    assert main(["engine", "status", "--json", *place]) == 3
    assert json.loads(capsys.readouterr().out) == {"is_running": False, "socket_path": place[-1]}


def test_stopping_what_does_not_run_is_no_error(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "stop", *place]) == 0
    assert capsys.readouterr().out == "no engine runs\n"


def test_an_error_is_one_line_and_a_hint(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "logs", *place]) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("dockerlab: no log at")
    assert hint.startswith("hint: ")


def test_a_wrong_setting_is_an_error_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "start", "--mirror", "127.0.0.1:5000"]) == 1
    assert "must begin with http://" in capsys.readouterr().err


def test_another_program_on_the_socket_is_left_alone(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place[-1])
        server.listen()
        assert main(["engine", "stop", *place]) == 1
    assert "is not an engine of dockerlab" in capsys.readouterr().err


def test_the_log_is_printed(
    place: list[str], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "engine.log").write_bytes(b"engine listens\n")
    assert main(["engine", "logs", *place]) == 0
    assert capfdbinary.readouterr().out == b"engine listens\n"


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "engine.log").write_bytes(b"line\n" * 100_000)
    command = [sys.executable, "-m", "dockerlab", "engine", "logs", "--root", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_the_status_says_what_a_person_wants_to_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.unit.client.scripted_engine import Script, scripted_engine

    script = Script(server="dockerlab/0.1.0 (linux)", status=STATUS | {"hostname": "lab"})
    with scripted_engine(tmp_path, script) as engine:
        assert main(["engine", "status", "--socket", str(engine.path)]) == 0
        text = capsys.readouterr().out
        assert main(["engine", "status", "--json", "--socket", str(engine.path)]) == 0
        values = json.loads(capsys.readouterr().out)
    for line in (
        "tier:               rootful",
        "sealed interpreter: yes",
        "default network:    none",
        "mirrors:            http://127.0.0.1:5000",
        "containers:         1 running, 0 paused, 2 stopped",
        "warning: no swap limit",
        f"export DOCKER_HOST=unix://{tmp_path}/e.sock",
    ):
        assert line in text.splitlines()
    assert values["is_running"]
    assert values["images"] == 3
