"""The store as a whole: all tags, indexes in indexes, what is shared, what a prune takes."""

import http.client
import json
import os
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator

import pytest
from docker.errors import APIError, ImageNotFound

import dockerlab as lab
from dockerlab.errors import ImageNotFound as ImageNotThere
from tests.support.archives import archive, member
from tests.support.engine import EngineUnderTest, running_engine, wait_until
from tests.support.gate import running_gate
from tests.support.registry import (
    PushedImage,
    RunningRegistry,
    push_image,
    push_index,
    push_manifest,
    running_registry,
)

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.needs_overlay,
    pytest.mark.needs_registry,
]

BASE_BYTES, OWN_BYTES = 100_000, 5_000


def _layer(name: str, size: int) -> bytes:
    return archive((tarfile.TarInfo(name), os.urandom(size)))


BASE = _layer("base", BASE_BYTES)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        for tag in ("1", "2", "latest"):
            own = [_layer(tag, OWN_BYTES)]
            push_image(running.address, "app", tag, [BASE, *own], config={"Labels": {"of": tag}})
        yield running


@pytest.fixture
def store(shop: RunningRegistry) -> Iterator[EngineUnderTest]:
    with running_engine() as started:
        yield started


def test_all_tags_of_a_repository_are_pulled(store: EngineUnderTest, shop: RunningRegistry) -> None:
    images = store.connect().images.pull(f"{shop.address}/app", all_tags=True)
    tags = {tag.rpartition(":")[2] for image in images for tag in image.tags}
    assert tags == {"1", "2", "latest"}
    with pytest.raises(APIError, match=f"repository {shop.address}/none not found"):
        store.connect().images.pull(f"{shop.address}/none", all_tags=True)


@pytest.mark.needs_docker_cli
def test_the_docker_client_pulls_all_tags_and_shows_what_is_shared(
    store: EngineUnderTest, shop: RunningRegistry
) -> None:
    def docker_cli(*arguments: str) -> str:
        done = subprocess.run(
            ["docker", *arguments],
            env=os.environ | {"DOCKER_HOST": store.address},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    shown = docker_cli("pull", "--all-tags", f"{shop.address}/app")
    assert shown.count("Digest: sha256:") == 3
    assert f"Status: Downloaded newer image for {shop.address}/app\n" in shown
    usage = json.loads(docker_cli("system", "df", "-v", "--format", "json"))
    assert {image["SharedSize"] for image in usage["Images"]} == {"100kB"}
    assert {image["UniqueSize"] for image in usage["Images"]} == {"5kB"}
    assert docker_cli("image", "prune", "-f").strip() == "Total reclaimed space: 0B"
    pruned = docker_cli("image", "prune", "-f", "-a", "--filter", "label!=of=1")
    assert pruned.endswith("Total reclaimed space: 10kB\n")
    listed = docker_cli("image", "ls", "--format", "{{.Tag}}", f"{shop.address}/app")
    assert listed == "1\n"


def test_sizes_are_told_apart_by_who_shares_a_layer(
    store: EngineUnderTest, shop: RunningRegistry
) -> None:
    client = store.connect()
    client.images.pull(f"{shop.address}/app", "1")
    usage = client.df()
    assert usage["LayersSize"] == BASE_BYTES + OWN_BYTES
    assert [image["SharedSize"] for image in usage["Images"]] == [0]
    client.images.pull(f"{shop.address}/app", "2")
    usage = client.df()
    assert usage["LayersSize"] == BASE_BYTES + 2 * OWN_BYTES
    assert {image["SharedSize"] for image in usage["Images"]} == {BASE_BYTES}


def test_a_prune_takes_what_has_no_tag_and_no_container(
    store: EngineUnderTest, shop: RunningRegistry
) -> None:
    client = store.connect()
    for tag in ("1", "2", "latest"):
        client.images.pull(f"{shop.address}/app", tag)
    # The name goes to another image, so that the first has none.
    client.images.get(f"{shop.address}/app:2").tag(f"{shop.address}/app", "1")
    held = client.containers.create(f"{shop.address}/app:latest", ["x"])
    pruned = client.images.prune()
    assert pruned["SpaceReclaimed"] == OWN_BYTES
    assert [list(line) for line in pruned["ImagesDeleted"]][-1] == ["Deleted"]
    client.images.get(f"{shop.address}/app:1")
    with pytest.raises(APIError, match="invalid filter 'name'"):
        client.images.prune(filters={"name": "x"})
    client.images.prune(filters={"dangling": False, "until": "2000-01-01"})
    client.images.get(f"{shop.address}/app:2")
    client.images.prune(filters={"dangling": False})
    with pytest.raises(ImageNotFound):
        client.images.get(f"{shop.address}/app:2")
    client.images.get(f"{shop.address}/app:latest")
    held.remove()
    client.images.prune(filters={"dangling": False})
    assert client.images.list() == []
    assert [path.name for path in (store.root / "layers").iterdir()] == ["sizes"]


def _push_nested(address: str, repository: str, image: PushedImage, depth: int) -> None:
    """Push indexes inside one another that do not say what they are for."""
    kind = "application/vnd.oci.image.index.v1+json"
    digest = push_index(address, repository, "inner", {"linux/amd64": image})
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", f"/v2/{repository}/manifests/{digest}", headers={"Accept": kind})
    size = len(connection.getresponse().read())
    connection.close()
    for _ in range(depth - 1):
        member = {"mediaType": kind, "digest": digest, "size": size}
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": [member]}
        data = json.dumps(index).encode()
        digest, size = push_manifest(address, repository, "latest", data, kind), len(data)


def _error(store: EngineUnderTest, repository: str, architecture: str) -> str:
    """Return the error with which a pull ends; docker-py passes it over."""
    platform = f"linux/{architecture}"
    lines = store.connect().api.pull(
        repository, "latest", platform=platform, stream=True, decode=True
    )
    return str([line.get("error") for line in lines][-1])


def test_an_index_in_an_index_is_looked_into(store: EngineUnderTest, shop: RunningRegistry) -> None:
    client = store.connect()
    for depth in (2, 4):
        name = f"nested{depth}"
        image = push_image(shop.address, name, "1", [_layer(name, 10)])
        _push_nested(shop.address, name, image, depth)
        pulled = client.images.pull(f"{shop.address}/{name}", "latest", platform="linux/amd64")
        assert pulled.id == image.config
    assert "no matching manifest for linux/s390x" in _error(
        store, f"{shop.address}/nested2", "s390x"
    )
    _push_nested(shop.address, "nested4", push_image(shop.address, "nested4", "1", [BASE]), 5)
    assert "more than 4 indexes inside one" in _error(store, f"{shop.address}/nested4", "amd64")


def test_a_client_that_leaves_ends_its_pull_and_the_next_goes_on(
    store: EngineUnderTest, shop: RunningRegistry
) -> None:
    image = push_image(shop.address, "large", "1", [_layer("large", 4 << 20)])
    ingest = store.root / "content" / "ingest"
    with running_gate(shop.address) as gate:
        name = gate.url.removeprefix("http://")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(store.socket))
            path = f"/images/create?fromImage={name}/large&tag=1"
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
            assert gate.held.wait(20)
            partial = ingest / image.layers[0].removeprefix("sha256:")
            wait_until(lambda: partial.exists() and partial.stat().st_size, "bytes are kept")
        wait_until(lambda: not list((store.root / "layers").glob("*.*")), "nothing stays staged")
        kept = partial.stat().st_size
        gate.release()
        store.connect().images.pull(f"{name}/large", "1")
        assert f"GET /v2/large/blobs/{image.layers[0]} bytes={kept}-" in gate.requests


def test_the_engine_answers_others_while_it_pulls(
    store: EngineUnderTest, shop: RunningRegistry
) -> None:
    files = b"".join(member(b"f/%05d" % number, b"x") for number in range(5_000))
    push_image(shop.address, "busy", "1", [files, _layer("noise", 4 << 20)])
    watcher, ended, pings = store.connect(), threading.Event(), 0

    def pull() -> None:
        try:
            store.connect().images.pull(f"{shop.address}/busy", "1")
        finally:
            ended.set()

    thread = threading.Thread(target=pull)
    thread.start()
    while not ended.is_set():
        assert watcher.ping()
        pings += 1
    thread.join()
    # A loop that unpacked, hashed or flushed itself would answer a few times, between its steps.
    assert pings > 10


def test_one_layer_of_two_images_is_fetched_once(
    store: EngineUnderTest, shop: RunningRegistry
) -> None:
    shared = _layer("shared", 4 << 20)
    images = [
        push_image(shop.address, name, "1", [shared, _layer(name, 10)]) for name in ("one", "two")
    ]
    with running_gate(shop.address) as gate:
        registry = gate.url.removeprefix("http://")
        threads = [
            threading.Thread(target=store.connect().images.pull, args=(f"{registry}/{name}", "1"))
            for name in ("one", "two")
        ]
        for thread in threads:
            thread.start()
        assert gate.held.wait(20)
        asked = {f"GET /v2/{name}/manifests/1 " for name in ("one", "two")}
        wait_until(lambda: asked <= set(gate.requests), "both pulls have begun")
        gate.release()
        for thread in threads:
            thread.join()
        fetched = [request for request in gate.requests if images[0].layers[0] in request]
    assert len(fetched) == 1
    assert len(store.connect().images.list()) == 2


def test_proxies_are_told_without_their_passwords() -> None:
    environ = {"HTTPS_PROXY": "http://ada:secret@proxy.example:3128", "no_proxy": "lab.example"}
    started = EngineUnderTest(environ=environ)
    try:
        started.start()
        info = started.connect().info()
    finally:
        started.close()
    assert info["HttpsProxy"] == "http://xxxxx:xxxxx@proxy.example:3128"
    assert (info["HttpProxy"], info["NoProxy"]) == ("", "lab.example")


def test_layers_tell_what_they_add_change_delete_and_waste(
    store: EngineUnderTest, shop: RunningRegistry
) -> None:
    below = archive(*((tarfile.TarInfo(name), bytes(1000)) for name in ("a", "b", "d/c")))
    above = archive(
        (tarfile.TarInfo("a"), bytes(500)),
        (tarfile.TarInfo(".wh.b"), b""),
        (tarfile.TarInfo("d/.wh..wh..opq"), b""),
        (tarfile.TarInfo("d/e"), bytes(10)),
    )
    push_image(shop.address, "wasteful", "1", [below, above])
    store.connect().images.pull(f"{shop.address}/wasteful", "1")
    table = lab.layers(f"{shop.address}/wasteful:1", engine=store.address)
    columns = ["instruction", "added", "changed", "deleted", "size_bytes", "wasted_bytes"]
    assert table[columns].to_numpy().tolist() == [
        ["layer 0", 3, 0, 0, 3000, 3000],
        ["layer 1", 1, 1, 2, 510, 0],
    ]
    assert {each["path"] for each in table.attrs["wasted"]} == {"/a", "/b", "/d/c"}
    with pytest.raises(ImageNotThere, match="No such image: nothing:latest"):
        lab.layers("nothing", engine=store.address)
