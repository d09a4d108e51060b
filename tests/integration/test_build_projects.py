"""Ten projects, built by this engine and by dockerd: the same trees, configs and histories."""

import hashlib
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support.dockerd import running_dockerd
from tests.support.engine import EngineUnderTest
from tests.support.projects import PROJECTS
from tests.support.registry import RunningRegistry
from tests.support.workshop import push_workshop, why_no_workshop

pytestmark = [pytest.mark.needs_docker_cli, pytest.mark.timeout(300)]

Build = Callable[..., "subprocess.CompletedProcess[str]"]
# What the engines put into every container themselves, and a place for a volume.
_ENGINES_OWN = re.compile(
    r"\.dockerenv|dev(/.*)?|proc|sys|etc/(hosts|hostname|resolv.conf|mtab)|etc|www/cache"
)
_HASH = re.compile(r"(file|dir|multi):[0-9a-f]{64}")
# Docker notes there what a container of the build had, or which image the step was done on.
_LEFT_OUT = ("Hostname", "Domainname", "Image", "AttachStdin", "AttachStdout", "AttachStderr")


@pytest.fixture(scope="module")
def workshop(registry: RunningRegistry) -> None:
    """The registry, with the image to build with."""
    if reason := why_no_workshop():
        pytest.skip(reason)
    push_workshop(registry.address)


@pytest.fixture(scope="module")
def theirs(registry: RunningRegistry, workshop: None) -> Iterator[str]:
    """The address of a dockerd."""
    with running_dockerd([registry.url]) as running:
        yield f"unix://{running.socket}"


@pytest.fixture(scope="module")
def ours(engine: EngineUnderTest, workshop: None) -> str:
    """The address of this engine."""
    return engine.address


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every project's context."""
    folder = tmp_path_factory.mktemp("contexts")
    for name, project in PROJECTS.items():
        project.write(folder / name)
    return folder


def run_docker(address: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    with tempfile.TemporaryDirectory() as empty:
        return subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            env=os.environ
            | {"DOCKER_HOST": address, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": empty},
        )


def build(address: str, name: str, contexts: Path) -> "subprocess.CompletedProcess[str]":
    options = ("--network", "none", "-t", f"built-{name}", *PROJECTS[name].options)
    return run_docker(address, "build", *options, str(contexts / name))


def tree(client: docker.DockerClient, name: str) -> dict[str, tuple[Any, ...]]:
    """Return every file of an image: kind, mode, owner, link, and what is in it."""
    container = client.containers.create(f"built-{name}", "x", network_mode="none")
    found: dict[str, tuple[Any, ...]] = {}
    try:
        with tempfile.TemporaryFile() as file:
            pieces: Any = container.export()
            for piece in pieces:
                file.write(piece)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                for entry in archive:
                    path = entry.name.rstrip("/")
                    if _ENGINES_OWN.fullmatch(path):
                        continue
                    data = archive.extractfile(entry) if entry.isfile() else None
                    digest = hashlib.sha256(data.read()).hexdigest() if data else ""
                    kind = b"0" if entry.islnk() else entry.type
                    owner = (entry.uid, entry.gid)
                    found[path] = (kind, oct(entry.mode & 0o7777), *owner, entry.linkname, digest)
    finally:
        container.remove(v=True)
    return found


def config(client: docker.DockerClient, name: str) -> dict[str, Any]:
    """Return what an image says of itself."""
    image = client.images.get(f"built-{name}")
    attributes = image.attrs
    told = {
        key: value
        for key, value in attributes["Config"].items()
        if key not in _LEFT_OUT and value not in (None, [], {}, "", False)
    }
    told["Author"] = attributes["Author"]
    told["layers"] = len(attributes["RootFS"]["Layers"])
    return told


def history(client: docker.DockerClient, name: str) -> list[tuple[str, bool]]:
    """Return the lines of an image's history, and whether each has files."""
    lines = client.images.get(f"built-{name}").history()
    return [(_HASH.sub(r"\1:", line["CreatedBy"]), line["Size"] > 0) for line in lines]


@pytest.mark.needs_dockerd
@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_is_what_dockerd_makes_of_it(
    ours: str, theirs: str, contexts: Path, name: str
) -> None:
    for address in (ours, theirs):
        built = build(address, name, contexts)
        assert built.returncode == 0, built.stdout + built.stderr
        assert f"Successfully tagged built-{name}:latest" in built.stdout
    here, there = docker.DockerClient(ours), docker.DockerClient(theirs)
    try:
        assert tree(here, name) == tree(there, name)
        assert config(here, name) == config(there, name)
        ours_told, theirs_told = history(here, name), history(there, name)
        assert [line for line in ours_told if "HEALTHCHECK" not in line[0]] == [
            line for line in theirs_told if "HEALTHCHECK" not in line[0]
        ]
    finally:
        here.close()
        there.close()


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_runs_and_its_second_build_is_all_from_the_cache(
    ours: str, contexts: Path, name: str
) -> None:
    project = PROJECTS[name]
    first = build(ours, name, contexts)
    second = build(ours, name, contexts)
    assert first.returncode == second.returncode == 0, first.stdout + first.stderr
    steps = second.stdout.count("\nStep ")
    begins = len(
        re.findall(r"^Step \d+/\d+ : (FROM|ARG \w+=\w+\nStep)", second.stdout, re.MULTILINE)
    )
    assert "Running in" not in second.stdout
    assert second.stdout.count(" ---> Using cache") >= steps - begins - 1
    assert second.stdout.splitlines()[-2] == first.stdout.splitlines()[-2]  # the same image
    if project.output:
        done = run_docker(ours, "run", "--rm", f"built-{name}", *project.command)
        assert (done.stdout, done.returncode) == (project.output, 0), done.stderr
