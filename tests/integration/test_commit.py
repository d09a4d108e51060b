"""`docker commit`: the image of a container is what was in it, and says how it came to be."""

from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError

from tests.support.engine import EngineUnderTest
from tests.support.fixtures import DockerCli

_CHANGES = [
    'CMD ["cat", "/made"]',
    "ENV ADDED=1",
    "EXPOSE 80",
    "LABEL who=me",
    "USER 1234",
    "VOLUME /data",
    "WORKDIR /srv",
]


@pytest.fixture(autouse=True)
def busybox(client: docker.DockerClient) -> Iterator[None]:
    client.images.pull("busybox", tag="latest")
    yield
    for container in client.containers.list(all=True):
        container.remove(force=True)
    for image in client.images.list(name="made"):
        client.images.remove(str(image.id), force=True)


@pytest.mark.parametrize("is_running", [True, False])
def test_the_image_has_the_files_and_the_changes(
    client: docker.DockerClient,
    is_running: bool,  # noqa: FBT001
) -> None:
    script = "echo made >/made; rm /bin/busybox.link; chown 7:8 /made; mkdir /srv; touch /ready"
    if is_running:
        script += "; sleep 600"
    container = client.containers.create(
        "busybox", ["sh", "-c", f"touch /bin/busybox.link;{script}"]
    )
    container.start()
    if not is_running:
        container.wait()
    else:
        container.exec_run(["sh", "-c", "until test -e /ready; do sleep 0.1; done"])
    image = container.commit("made", "one", message="why", author="who", changes=_CHANGES)
    container.reload()
    assert container.status == ("running" if is_running else "exited")
    config = image.attrs["Config"]
    assert config["Cmd"] == ["cat", "/made"]
    assert "ADDED=1" in config["Env"]
    assert (config["User"], config["WorkingDir"]) == ("1234", "/srv")
    assert config["Labels"]["who"] == "me"
    assert (config["ExposedPorts"], config["Volumes"]) == ({"80/tcp": {}}, {"/data": {}})
    assert (image.attrs["Author"], image.attrs["Comment"]) == ("who", "why")
    newest, *older = image.history()
    assert newest["Comment"] == "why"
    assert newest["Size"] > 0
    assert len(older) == len(client.images.get("busybox").history())
    assert client.containers.run("made:one", remove=True) == b"made\n"
    listed = client.containers.run("made:one", ["ls", "-ln", "/made"], remove=True).decode()
    assert listed.split()[2:4] == ["7", "8"]


def test_nothing_changed_is_no_layer(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["true"])
    image = container.commit("made", "none")
    base = client.images.get("busybox")
    assert image.attrs["RootFS"] == base.attrs["RootFS"]
    assert len(image.history()) == len(base.history()) + 1
    assert image.attrs["Config"]["Cmd"] == ["true"]


def test_deletions_and_new_folders_hide_what_was_below(client: docker.DockerClient) -> None:
    first = client.containers.create("busybox", ["sh", "-c", "mkdir /d; touch /d/old /gone"])
    first.start()
    first.wait()
    first.commit("made", "base")
    second = client.containers.create(
        "made:base", ["sh", "-c", "rm -r /d /gone; mkdir /d; touch /d/new"]
    )
    second.start()
    second.wait()
    second.commit("made", "next")
    assert client.containers.run("made:next", ["ls", "/d"], remove=True) == b"new\n"
    script = ["sh", "-c", "test -e /gone || echo gone"]
    assert client.containers.run("made:next", script, remove=True) == b"gone\n"


def test_the_same_changes_are_the_same_layer(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "echo x >/x"])
    container.start()
    container.wait()
    one, two = container.commit("made", "a"), container.commit("made", "b")
    assert one.attrs["RootFS"] == two.attrs["RootFS"]


def test_what_cannot_be_is_refused_before_anything_is_done(
    client: docker.DockerClient, engine: EngineUnderTest
) -> None:
    del engine
    container = client.containers.create("busybox", ["true"])
    before = len(client.images.list())
    with pytest.raises(APIError, match="cannot be a change"):
        container.commit("made", changes=["RUN ls"])
    with pytest.raises(APIError, match="invalid reference format"):
        container.commit("NOT valid")
    with pytest.raises(APIError, match="No such container"):
        client.api.commit("nothing", "made")
    assert len(client.images.list()) == before


@pytest.mark.needs_docker_cli
def test_the_docker_client_commits(docker_cli: DockerCli, client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "echo cli >/cli"])
    container.start()
    container.wait()
    done = docker_cli(
        "commit", "-a", "me", "-m", "words", "-c", 'CMD ["cat","/cli"]', container.id, "made:cli"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sha256:")
    assert docker_cli("run", "--rm", "made:cli").stdout == "cli\n"
