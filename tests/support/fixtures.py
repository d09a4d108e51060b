"""Fixtures that several rooms' tests use: a registry, an engine, the docker command line client."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from dockerlab.config import load_settings
from tests.support.engine import EngineUnderTest, wait_until
from tests.support.images import push_test_images
from tests.support.probes import why_not
from tests.support.registry import RunningRegistry, running_registry

__all__ = ["DockerCli", "client", "docker_cli", "engine", "fresh_engine", "own_engine", "registry"]

DockerCli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", autouse=True)
def own_engine(leaks: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep whatever starts an engine by itself (magics, notebooks) away from the user's own.

    Such an engine is ended with the session, before the session is searched for leaks.
    """
    root = tmp_path_factory.mktemp("own") / "root"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKERLAB_ROOT", str(root))
        patch.delenv("DOCKERLAB_SOCKET", raising=False)
        yield root
        settings = load_settings(os.environ)
        if settings.socket_path.exists():
            _shut_down(settings.socket_path)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Run a real registry on loopback that holds the tests' images as ``library/…``."""
    _require("needs_registry", "needs_busybox")
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        push_test_images(running.address)
        yield running


@pytest.fixture(scope="module")
def engine(registry: RunningRegistry, known_containers: set[str]) -> Iterator[EngineUnderTest]:
    """One engine a test module, with the registry as its mirror of docker.io."""
    yield from _engine(registry, known_containers)


@pytest.fixture
def fresh_engine(
    registry: RunningRegistry, known_containers: set[str]
) -> Iterator[EngineUnderTest]:
    """An engine with an empty data root, for tests that kill it or need it cold."""
    yield from _engine(registry, known_containers)


@pytest.fixture
def client(engine: EngineUnderTest) -> Iterator[docker.DockerClient]:
    """A docker-py client of the module's engine; the test's containers are removed after it."""
    connected = engine.connect()
    before = {container.id for container in connected.containers.list(all=True)}
    yield connected
    for container in connected.containers.list(all=True):
        if container.id not in before:
            container.remove(force=True)


@pytest.fixture
def docker_cli(engine: EngineUnderTest, tmp_path: Path) -> DockerCli:
    """The real ``docker`` program, pointed at the module's engine; use with needs_docker_cli."""

    def run(
        *arguments: str, data: str = "", timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *arguments],
            input=data,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=os.environ | {"DOCKER_HOST": engine.address, "DOCKER_CONFIG": str(tmp_path)},
        )

    return run


def _engine(registry: RunningRegistry, known_containers: set[str]) -> Iterator[EngineUnderTest]:
    _require("needs_root", "needs_namespaces", "needs_overlay")
    started = EngineUnderTest(mirrors=[registry.url])
    try:
        started.start()
        yield started
    finally:
        known_containers |= set(started.container_ids())
        # pytest shows captured output with a failure only, which is when the log is wanted.
        print(started.log())  # noqa: T201 - see above
        started.close()


def _require(*markers: str) -> None:
    for marker in markers:
        if reason := why_not(marker):
            pytest.skip(f"{marker}: {reason}")


def _shut_down(path: Path) -> None:
    """Ask the engine at the socket to end; its answer ends with the connection."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(
            b"POST /dockerlab/shutdown HTTP/1.1\r\nHost: engine\r\nContent-Length: 0\r\n"
            b"Connection: close\r\n\r\n"
        )
        while connection.recv(65536):
            pass
    wait_until(lambda: not path.exists(), f"the engine at {path} ends")
