"""Which engines there are: sockets, DOCKER_HOST and contexts, and what each answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from dockerlab.client.engines import KnownEngine, find_engine, list_engines, look
from dockerlab.client.session import connect
from dockerlab.errors import InvalidArgument, Unsupported
from tests.unit.client.scripted_engine import Script, scripted_engine

UID = 1000


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run"), **more}


def context(
    tmp_path: Path, name: str, host: str, *, tls: bool = False, folder: str = ".docker"
) -> None:
    place = tmp_path / folder / "contexts"
    (place / "meta" / f"id-{name}").mkdir(parents=True)
    document: dict[str, Any] = {
        "Name": name,
        "Metadata": {},
        "Endpoints": {"docker": {"Host": host}},
    }
    (place / "meta" / f"id-{name}" / "meta.json").write_text(json.dumps(document))
    if tls:
        (place / "tls" / f"id-{name}" / "docker").mkdir(parents=True)


def names(engines: list[KnownEngine]) -> list[str]:
    return [engine.name for engine in engines]


def test_our_own_comes_first_and_then_the_usual_sockets(tmp_path: Path) -> None:
    found = list_engines(environ(tmp_path), uid=UID)

    assert names(found) == ["dockerlab", "docker", "podman", "podman-rootful"]
    assert [engine.address for engine in found[1:]] == [
        "unix:///var/run/docker.sock",
        f"unix://{tmp_path}/run/podman/podman.sock",
        "unix:///run/podman/podman.sock",
    ]


def test_root_has_the_rootful_podman_and_the_one_of_its_session(tmp_path: Path) -> None:
    found = list_engines(environ(tmp_path), uid=0)

    assert names(found) == ["dockerlab", "docker", "podman", "podman-rootless"]


def test_docker_host_is_docker_and_the_usual_socket_stays(tmp_path: Path) -> None:
    found = list_engines(environ(tmp_path, DOCKER_HOST="tcp://lab:2375"), uid=UID)

    by_name = {engine.name: engine for engine in found}
    assert (by_name["docker"].address, by_name["docker"].origin) == (
        "tcp://lab:2375",
        "DOCKER_HOST",
    )
    assert by_name["docker-usual"].address == "unix:///var/run/docker.sock"


def test_contexts_of_the_docker_command_line_are_engines(tmp_path: Path) -> None:
    context(tmp_path, "lab", "unix:///srv/lab.sock")
    context(tmp_path, "far", "ssh://lab@far")
    context(tmp_path, "safe", "tcp://far:2376", tls=True)
    context(tmp_path, "podman", "unix:///srv/other.sock")
    (tmp_path / ".docker/contexts/meta/broken").mkdir()
    (tmp_path / ".docker/contexts/meta/broken/meta.json").write_text("[")

    found = {engine.name: engine for engine in list_engines(environ(tmp_path), uid=UID)}

    assert found["lab"].address == "unix:///srv/lab.sock"
    assert "ssh:// is not supported" in found["far"].refusal
    assert "TLS" in found["safe"].refusal
    assert found["context:podman"].address == "unix:///srv/other.sock"


def test_contexts_are_where_docker_config_says(tmp_path: Path) -> None:
    context(tmp_path, "lab", "unix:///srv/lab.sock", folder="elsewhere")

    config = str(tmp_path / "elsewhere")

    assert "lab" in names(list_engines(environ(tmp_path, DOCKER_CONFIG=config), uid=UID))


def test_an_engine_answers_or_says_why_not(tmp_path: Path) -> None:
    with scripted_engine(tmp_path, Script(server="Docker/20.10.24 (linux)")) as running:
        there = KnownEngine(name="a", address=running.address, origin="")
        gone = KnownEngine(name="b", address="unix:///no/such.sock", origin="")
        refused = KnownEngine(name="c", address="ssh://x", origin="", refusal="no ssh")
        first, second, third = look([there, gone, refused])

    assert (first.is_reachable, first.engine, first.version) == (True, "docker", "20.10.24")
    assert (second.is_reachable, second.reason) == (False, "no such file or directory")
    assert (third.is_reachable, third.reason) == (False, "no ssh")
    assert look([]) == []


def test_a_context_can_be_connected_to_by_its_name(tmp_path: Path) -> None:
    with scripted_engine(tmp_path) as running:
        context(tmp_path, "lab", running.address)
        session = connect("lab", environ=environ(tmp_path))
        session.close()

    assert session.address == running.address


def test_a_context_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    context(tmp_path, "far", "ssh://lab@far")

    with pytest.raises(Unsupported, match="ssh:// is not supported"):
        find_engine("far", environ(tmp_path), uid=UID)


def test_a_name_that_is_none_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match='no such engine: "podmann"') as caught:
        find_engine("podmann", environ(tmp_path), uid=UID)

    assert caught.value.hint == "did you mean podman?"
