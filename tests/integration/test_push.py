"""`docker push` to a real registry: what is sent, what is not, and what comes back."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support.engine import EngineUnderTest
from tests.support.fixtures import DockerCli
from tests.support.httpserver import Asked, Reply, running_server
from tests.support.registry import RunningRegistry, running_registry
from tests.support.tokenserver import running_token_server

pytestmark = [pytest.mark.needs_registry, pytest.mark.needs_busybox]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("target")) as running:
        yield running


@pytest.fixture(autouse=True)
def images(client: docker.DockerClient) -> Iterator[None]:
    client.images.pull("busybox", tag="latest")
    yield
    for container in client.containers.list(all=True):
        container.remove(force=True)
    for image in client.images.list():
        client.images.remove(str(image.id), force=True)


def push(client: docker.DockerClient, name: str, **options: Any) -> list[dict[str, Any]]:
    return list(client.images.push(name, stream=True, decode=True, **options))


def statuses(lines: list[dict[str, Any]]) -> list[str]:
    return [line["status"] for line in lines if "status" in line]


def made(client: docker.DockerClient, name: str, script: str) -> None:
    container = client.containers.create("busybox", ["sh", "-c", script])
    container.start()
    container.wait()
    repository, _, tag = name.rpartition(":")
    container.commit(repository, tag)
    container.remove()


def test_an_image_comes_back_with_the_same_digests(
    client: docker.DockerClient, target: RunningRegistry
) -> None:
    name = f"{target.address}/lab/box"
    before = client.images.get("busybox")
    [digest] = [text.partition("@")[2] for text in before.attrs["RepoDigests"]]
    before.tag(name, "one")
    lines = push(client, name, tag="one")
    assert lines[0]["status"] == f"The push refers to repository [{name}]"
    assert {"Preparing", "Pushed"} <= set(statuses(lines))
    [aux] = [line["aux"] for line in lines if "aux" in line]
    assert (aux["Tag"], aux["Digest"]) == ("one", digest)
    assert f"one: digest: {digest} size: {aux['Size']}" in statuses(lines)
    assert f"{name}@{digest}" in client.images.get(f"{name}:one").attrs["RepoDigests"]
    client.images.remove(str(before.id), force=True)
    after = client.images.pull(name, tag="one")
    assert after.id == before.id
    assert f"{name}@{digest}" in after.attrs["RepoDigests"]


def test_what_is_there_is_not_sent_again(
    client: docker.DockerClient, target: RunningRegistry
) -> None:
    name = f"{target.address}/twice/box"
    client.images.get("busybox").tag(name, "a")
    push(client, name, tag="a")
    client.images.get("busybox").tag(name, "b")
    told = statuses(push(client, name, tag="b"))
    assert "Layer already exists" in told
    assert "Pushed" not in told


def test_a_layer_of_another_repository_is_mounted(
    client: docker.DockerClient, target: RunningRegistry
) -> None:
    first, second = f"{target.address}/mount/from", f"{target.address}/mount/to"
    client.images.get("busybox").tag(first, "x")
    push(client, first, tag="x")
    made(client, f"{second}:x", "echo more >/more")
    told = statuses(push(client, second, tag="x"))
    assert "Mounted from mount/from" in told
    assert told.count("Pushed") == 1


def test_all_tags_go_with_one_request(client: docker.DockerClient, target: RunningRegistry) -> None:
    name = f"{target.address}/all/tags"
    for tag in ("1", "2"):
        made(client, f"{name}:{tag}", f"echo {tag} >/tag")
    lines = push(client, name)
    assert [line["aux"]["Tag"] for line in lines if "aux" in line] == ["1", "2"]
    for image in client.images.list():
        client.images.remove(str(image.id), force=True)
    for tag in ("1", "2"):
        output = client.containers.run(f"{name}:{tag}", ["cat", "/tag"], remove=True)
        assert output.decode().strip() == tag


def test_what_is_not_there_is_said(client: docker.DockerClient, target: RunningRegistry) -> None:
    name = f"{target.address}/no/such"
    words = f"An image does not exist locally with the tag: {name}"
    assert push(client, name, tag="x")[-1]["error"] == words
    client.images.get("busybox").tag(name, "y")
    assert push(client, name, tag="x")[-1]["error"] == f"tag does not exist: {name}:x"
    client.images.get("busybox").tag("127.0.0.1:9/nobody", "x")
    assert "cannot reach" in push(client, "127.0.0.1:9/nobody", tag="x")[-1]["error"]


def test_a_token_for_pushing_is_fetched_with_the_clients_credentials(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    public, users = frozenset({"open/box"}), {"ada": "secret"}
    with (
        running_token_server(tmp_path / "keys", public=public, users=users) as tokens,
        running_registry(tmp_path / "registry", auth=tokens.auth) as registry,
    ):
        name = f"{registry.address}/open/box"
        client.images.get("busybox").tag(name, "t")
        error = push(client, name, tag="t")[-1]["error"]
        assert "unauthorized: authentication required" in error
        known = {"username": "ada", "password": "secret"}
        assert "aux" in push(client, name, tag="t", auth_config=known)[-1]
        assert client.images.pull(name, tag="t").id == client.images.get("busybox").id


@pytest.mark.needs_docker_cli
@pytest.mark.needs_skopeo
def test_the_docker_client_pushes_what_skopeo_reads(
    docker_cli: DockerCli, client: docker.DockerClient, target: RunningRegistry
) -> None:
    name = f"{target.address}/cli/box:made"
    made(client, name, "echo cli >/cli; rm /bin/busybox.gone 2>/dev/null; true")
    done = docker_cli("push", name)
    assert done.returncode == 0, done.stderr
    assert "Pushed" in done.stdout
    command = ["skopeo", "inspect", "--tls-verify=false", f"docker://{name}"]
    seen = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert f"digest: {seen['Digest']}" in done.stdout
    assert len(seen["Layers"]) == len(client.images.get(name).attrs["RootFS"]["Layers"])


def test_a_registry_is_searched(client: docker.DockerClient, target: RunningRegistry) -> None:
    client.images.get("busybox").tag(f"{target.address}/sought/after", "x")
    push(client, f"{target.address}/sought/after", tag="x")
    found = client.images.search(f"{target.address}/sought")
    assert [line["name"] for line in found] == [f"{target.address}/sought/after"]

    def respond(asked: Asked) -> Reply:
        if not asked.path.startswith("/v1/search?q=web&n=25"):
            return Reply(status=404)
        results = [
            {"name": "web", "description": "d", "is_official": True, "star_count": 7},
            {"name": "other/web", "star_count": 1},
        ]
        return Reply(body=json.dumps({"results": results}).encode())

    with running_server(respond) as server:
        assert len(client.images.search(f"{server.address}/web")) == 2
        filters = json.dumps({"stars": ["5"], "is-official": ["true"]})
        params = {"term": f"{server.address}/web", "filters": filters}
        answer = client.api.get(f"{client.api.base_url}/images/search", params=params)
        assert [line["name"] for line in answer.json()] == ["web"]
        params = {"term": f"{server.address}/web", "filters": '{"x":["y"]}'}
        answer = client.api.get(f"{client.api.base_url}/images/search", params=params)
        assert "invalid filter" in answer.json()["message"]


def test_a_push_that_nobody_waits_for_ends(engine: EngineUnderTest) -> None:
    """The client goes away; the engine is free and the next push works."""
    client = engine.connect()
    client.images.get("busybox").tag("127.0.0.1:9/gone", "x")
    answer = client.api.post(
        f"{client.api.base_url}/images/127.0.0.1:9/gone/push?tag=x", stream=True
    )
    answer.close()
    assert client.ping()
