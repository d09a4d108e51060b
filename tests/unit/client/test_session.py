"""Which engine is meant, which one answers, and what is said when none does."""

import os
from pathlib import Path

import pytest

from dockerlab.client.session import _connect_own, connect
from dockerlab.config import load_settings, other_engine
from dockerlab.errors import Forbidden, InvalidArgument, Unavailable
from tests.unit.client.scripted_engine import Script, scripted_engine


@pytest.mark.parametrize(
    ("server", "engine", "version"),
    [
        ("Docker/20.10.24+dfsg1 (linux)", "docker", "20.10.24+dfsg1"),
        ("Libpod/4.3.1 (linux)", "podman", "4.3.1"),
        ("", "docker", ""),
    ],
)
def test_an_engine_is_known_by_its_server_header(
    tmp_path: Path, server: str, engine: str, version: str
) -> None:
    with scripted_engine(tmp_path, Script(server=server)) as running:
        session = connect(running.address)
        session.close()
    assert (session.engine, session.version, session.tier) == (engine, version, "remote")
    assert not session.is_dockerlab


def test_our_own_engine_says_its_tier(tmp_path: Path) -> None:
    script = Script(server="dockerlab/9.9 (linux)", status={"tier": "rootful", "hostname": "lab"})
    with scripted_engine(tmp_path, script) as running:
        session = connect(environ={"DOCKERLAB_SOCKET": str(running.path)})
        session.close()
    assert session.is_dockerlab
    assert (session.tier, session.host) == ("rootful", "lab")
    assert session.socket_path == running.path


@pytest.mark.parametrize(
    ("announced", "used"), [("1.41", "1.41"), ("1.52", "1.45"), ("new", "1.45"), ("", "1.45")]
)
def test_an_older_engine_is_met_at_its_own_version(
    tmp_path: Path, announced: str, used: str
) -> None:
    with scripted_engine(tmp_path, Script(api_version=announced)) as running:
        session = connect(str(running.path))
        session.close()
    assert session.api.api_version == used


def test_docker_is_where_docker_host_says(tmp_path: Path) -> None:
    with scripted_engine(tmp_path) as running:
        session = connect("docker", environ={"DOCKER_HOST": running.address})
        session.close()
    assert session.address == running.address


def test_podman_s_socket_is_found_by_user() -> None:
    assert other_engine({}, "podman", uid=0) == "unix:///run/podman/podman.sock"
    assert other_engine({}, "podman", uid=7) == "unix:///run/user/7/podman/podman.sock"
    assert other_engine({"XDG_RUNTIME_DIR": "/x"}, "podman", uid=7) == (
        "unix:///x/podman/podman.sock"
    )


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no such engine"):
        connect("rocket")


@pytest.mark.parametrize(
    "engine", ["unix:///nowhere/e.sock", "/nowhere/e.sock", "tcp://127.0.0.1:1"]
)
def test_nobody_there_is_one_sentence_with_a_hint(engine: str) -> None:
    with pytest.raises(Unavailable, match="no engine answers at") as caught:
        connect(engine)
    assert caught.value.hint


def test_our_own_engine_is_not_started_when_that_is_not_wanted(tmp_path: Path) -> None:
    environ = {"DOCKERLAB_ROOT": str(tmp_path / "root"), "DOCKERLAB_SOCKET": str(tmp_path / "s")}
    with pytest.raises(Unavailable):
        connect(environ=environ, start=False)
    assert not (tmp_path / "root").exists()


@pytest.mark.needs_root
def test_an_engine_in_another_user_s_folder_is_not_spoken_to(tmp_path: Path) -> None:
    environ = {"DOCKERLAB_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}
    environ["TMPDIR"] = str(tmp_path)
    runtime = load_settings(environ, uid=7).runtime_dir
    (tmp_path / "elsewhere").mkdir()
    runtime.parent.symlink_to("elsewhere")
    os.chown(runtime.parent, 1234, 1234, follow_symlinks=False)
    with pytest.raises(Forbidden, match="belongs to another user"):
        _connect_own(load_settings(environ, uid=7), start=True)
    assert not (tmp_path / "root").exists()


def test_a_session_is_revived_only_when_its_engine_has_ended(tmp_path: Path) -> None:
    with scripted_engine(tmp_path) as running:
        session = connect(running.address)
        assert session.revive() is session
    with pytest.raises(Unavailable):
        session.revive()
    running.path.unlink()
    with scripted_engine(tmp_path):
        revived = session.revive()
        assert revived.address == session.address
        revived.close()
