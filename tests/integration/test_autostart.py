"""The first client starts the engine, the others find it, and it ends when nobody needs it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dockerlab.client.session import Session, connect, fetch_json, fetch_status
from dockerlab.config import Settings, load_settings
from tests.support.engine import wait_until
from tests.support.probes import why_not


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Settings of an engine that does not run yet; it is ended after the test."""
    for marker in ("needs_root", "needs_namespaces", "needs_overlay"):
        if reason := why_not(marker):
            pytest.skip(f"{marker}: {reason}")
    base = Path(tempfile.mkdtemp(prefix="dl-"))
    chosen = load_settings({}, root=base / "root", socket=base / "engine.sock")
    yield chosen
    if chosen.socket_path.exists():
        _command(chosen, "stop")
        wait_until(lambda: not chosen.socket_path.exists(), "the engine ends")
    shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(chosen.runtime_dir, ignore_errors=True)


def _command(settings: Settings, verb: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    options = ["--root", str(settings.data_root), "--socket", str(settings.socket_path)]
    return subprocess.run(
        [sys.executable, "-m", "dockerlab", "engine", verb, *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environ,
    )


def _pid(session: Session) -> int:
    return int(fetch_status(session)["pid"])


def test_the_first_client_starts_the_engine_and_the_next_finds_it(settings: Settings) -> None:
    first = connect(settings=settings)
    second = connect(settings=settings)

    assert _pid(first) == _pid(second)
    first.close()
    second.close()


def test_of_many_first_clients_one_starts_it(settings: Settings) -> None:
    def one(_: int) -> int:
        session = connect(settings=settings)
        pid = _pid(session)
        session.close()
        return pid

    with ThreadPoolExecutor(8) as pool:
        pids = set(pool.map(one, range(8)))

    assert len(pids) == 1


def test_the_socket_is_for_its_owner_only(settings: Settings) -> None:
    connect(settings=settings).close()

    assert settings.socket_path.stat().st_mode & 0o777 == 0o600


def test_the_command_starts_tells_and_stops(settings: Settings) -> None:
    assert _command(settings, "start").returncode == 0
    status = _command(settings, "status")
    logs = _command(settings, "logs")
    stopped = _command(settings, "stop")

    assert status.returncode == 0
    assert str(settings.data_root) in status.stdout
    assert "none" in status.stdout
    assert logs.returncode == 0
    assert stopped.returncode == 0
    wait_until(lambda: not _answers(settings.socket_path), "the engine ends")


def test_an_idle_engine_ends_and_the_next_client_starts_another(settings: Settings) -> None:
    assert _command(settings, "start", DOCKERLAB_IDLE_EXIT="0.5").returncode == 0

    wait_until(lambda: not _answers(settings.socket_path), "the idle engine ends")
    session = connect(settings=settings)

    assert session.api.ping()
    session.close()


def test_hello_world_is_built_in_where_docker_hub_cannot_be_reached(settings: Settings) -> None:
    """No mirror: the engine tries Docker Hub, says why not, and uses its own image."""
    session = connect(settings=settings)
    lines: list[dict[str, Any]] = list(
        session.api.pull("hello-world", tag="latest", stream=True, decode=True)
    )
    image = fetch_json(session, "/v1.45/images/hello-world/json")
    assert isinstance(image, dict)
    session.close()

    if (image["Config"].get("Labels") or {}).get("dockerlab.source") != "hub":
        pytest.skip("Docker Hub can be reached from here")
    told = [line for line in lines if "Docker Hub cannot be reached" in line.get("status", "")]
    assert len(told) == 1
    assert told[0]["status"].endswith("using dockerlab's built-in hello-world")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def test_status_is_json_for_programs(settings: Settings) -> None:
    session = connect(settings=settings)

    status = dict(fetch_status(session))
    session.close()

    assert json.dumps(status)
    assert status["tier"] == "rootful"
    assert status["default_network"] == "bridge"
