"""The verbs on images, by docker-py, against a real engine and a real registry."""

import json

import docker
import pytest
from docker.errors import APIError, ImageNotFound, NotFound

from tests.support.engine import EngineUnderTest
from tests.support.images import SLOW_LAYERS
from tests.support.registry import RunningRegistry


def test_an_image_that_is_not_here_is_told_by_its_name(client: docker.DockerClient) -> None:
    with pytest.raises(ImageNotFound, match="No such image: absent:latest"):
        client.images.get("absent")


def test_a_pull_reports_each_layer_and_ends_with_digest_and_status(
    fresh_engine: EngineUnderTest,
) -> None:
    api = fresh_engine.connect().api

    lines = list(api.pull("slow", tag="latest", stream=True, decode=True))

    layers = {line["id"] for line in lines if line.get("status") == "Pull complete"}
    assert lines[0]["status"] == "Pulling from library/slow"
    assert len(layers) == 1 + SLOW_LAYERS
    assert any(line["status"].startswith("Digest: sha256:") for line in lines)
    assert lines[-1]["status"] == "Status: Downloaded newer image for slow:latest"


def test_a_second_pull_says_that_the_image_is_up_to_date(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")

    lines = list(client.api.pull("busybox", tag="latest", stream=True, decode=True))

    assert lines[-1]["status"] == "Status: Image is up to date for busybox:latest"


def test_an_image_that_no_registry_has_is_refused(client: docker.DockerClient) -> None:
    with pytest.raises((NotFound, APIError), match=r"manifest|not found|does not exist|denied"):
        client.images.pull("no-such-repository", tag="latest")


def test_an_image_is_pulled_from_the_registry_that_its_name_says(
    client: docker.DockerClient, registry: RunningRegistry
) -> None:
    name = f"{registry.address}/library/hello-world"

    image = client.images.pull(name, tag="latest")

    assert f"{name}:latest" in image.tags
    client.images.remove(name)


def test_inspect_has_the_config_of_the_image(client: docker.DockerClient) -> None:
    image = client.images.pull("user", tag="latest")

    config = image.attrs["Config"]
    assert config["Entrypoint"][:2] == ["sh", "-c"]
    assert config["Cmd"] == ["from", "cmd"]
    assert config["User"] == "lab"
    assert config["WorkingDir"] == "/made/by/workdir"
    assert config["Labels"] == {"purpose": "tests"}
    assert image.attrs["Os"] == "linux"
    assert image.attrs["RootFS"]["Type"] == "layers"
    assert len(image.attrs["RootFS"]["Layers"]) == 2
    assert image.attrs["RepoDigests"][0].startswith("user@sha256:")


def test_an_image_is_found_by_its_id_and_by_its_digest(client: docker.DockerClient) -> None:
    image = client.images.pull("busybox", tag="latest")
    [digest] = image.attrs["RepoDigests"]

    for name in (str(image.id), str(image.id).removeprefix("sha256:")[:12], digest):
        assert client.images.get(name).id == image.id


def test_history_is_newest_first(client: docker.DockerClient) -> None:
    image = client.images.pull("user", tag="latest")

    history = image.history()

    assert [entry["CreatedBy"] for entry in history] == ["layer 1", "layer 0"]
    assert history[0]["Tags"] == ["user:latest"]


def test_a_tag_is_one_more_name_of_the_same_image(client: docker.DockerClient) -> None:
    image = client.images.pull("hello-world", tag="latest")

    assert image.tag("mine", tag="v1")

    assert client.images.get("mine:v1").id == image.id
    client.images.remove("mine:v1")
    assert client.images.get("hello-world").id == image.id


def test_remove_untags_deletes_and_gives_the_layers_back(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    image = client.images.pull("hello-world", tag="latest")
    [layer] = image.attrs["RootFS"]["Layers"]

    removed = client.api.remove_image("hello-world")

    assert {"Untagged": "hello-world:latest"} in removed
    assert {"Deleted": image.id} in removed
    assert {"Deleted": layer} in removed
    assert client.images.list() == []
    layers = list((fresh_engine.root / "layers").iterdir())
    assert [path for path in layers if path.name == layer.removeprefix("sha256:")] == []


def test_an_image_that_a_container_uses_is_not_removed(client: docker.DockerClient) -> None:
    client.images.pull("hello-world", tag="latest")
    client.containers.create("hello-world", name="user-of-the-image")

    with pytest.raises(APIError) as refused:
        client.images.remove("hello-world")

    assert refused.value.status_code == 409


def test_layers_are_shared_between_images(fresh_engine: EngineUnderTest) -> None:
    client = fresh_engine.connect()
    client.images.pull("busybox", tag="latest")

    lines = list(client.api.pull("user", tag="latest", stream=True, decode=True))

    assert [line["status"] for line in lines].count("Already exists") == 1


def test_images_can_be_listed_by_reference_and_label(client: docker.DockerClient) -> None:
    client.images.pull("busybox", tag="latest")
    client.images.pull("user", tag="latest")

    by_name = client.images.list(name="busybox")
    by_label = client.images.list(filters={"label": "purpose=tests"})

    assert [image.tags for image in by_name] == [["busybox:latest"]]
    assert [image.tags for image in by_label] == [["user:latest"]]


def test_a_wrong_reference_is_a_bad_request(client: docker.DockerClient) -> None:
    with pytest.raises(APIError) as refused:
        client.api.pull("Busybox", tag="latest")

    assert refused.value.status_code == 400
    assert "invalid reference format" in json.dumps(refused.value.explanation)
