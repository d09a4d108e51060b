"""Pulls from a real registry: what arrives, what is reported, what a second pull does."""

import json
import os
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerlab.errors import ManifestNotFound, RegistryUnreachable
from dockerlab.oci.digest import Digest
from dockerlab.oci.platform import parse_platform
from tests.support.archives import archive
from tests.support.httpserver import Asked, Reply, running_server
from tests.support.pulling import Puller
from tests.support.registry import (
    PushedImage,
    RunningRegistry,
    digest,
    push_image,
    push_index,
    push_manifest,
    running_registry,
)

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_registry]


def _layer(name: str, data: bytes) -> bytes:
    return archive((tarfile.TarInfo(name), data))


_BASE = _layer("base", b"base")
_NOISE = [_layer(f"noise-{n}", os.urandom(200_000)) for n in range(5)]


@pytest.fixture(scope="module")
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def hello(own_registry: RunningRegistry) -> PushedImage:
    config = {"Cmd": ["/hello"], "Env": ["A=1"]}
    address, name = own_registry.address, "library/hello-world"
    return push_image(address, name, "latest", [_BASE], config=config, docker=True)


@pytest.fixture(scope="module")
def many(own_registry: RunningRegistry) -> PushedImage:
    return push_image(own_registry.address, "library/many", "1", [_BASE, *_NOISE, _BASE])


@pytest.fixture
def puller(tmp_path: Path, own_registry: RunningRegistry) -> Puller:
    return Puller(tmp_path / "store", mirrors=[own_registry.url])


def test_an_image_arrives_whole(puller: Puller, hello: PushedImage) -> None:
    pulled = puller.pull("hello-world")
    assert (pulled.repo_digest, pulled.config_digest) == (hello.manifest, hello.config)
    assert (pulled.manifest.digest, pulled.manifest.media_type) == (
        hello.manifest,
        hello.media_type,
    )
    assert pulled.config.config is not None
    assert pulled.config.config.cmd == ("/hello",)
    [layer] = pulled.layers
    assert (layer.diff_id, layer.descriptor.digest) == (hello.diff_ids[0], hello.layers[0])
    assert layer.staging is not None
    assert (layer.staging / "base").read_bytes() == b"base"
    assert layer.size_bytes == 4
    assert sorted(puller.content.digests()) == sorted([hello.manifest, hello.config, *hello.layers])


def test_a_pull_reports_in_docker_s_words_and_order(puller: Puller, many: PushedImage) -> None:
    puller.pull_and_commit("many:1")
    first = puller.lines[0]
    assert (first.status, first.id) == ("Pulling from library/many", "1")
    for layer in many.layers[:3]:
        assert puller.statuses(layer)[:1] == ["Pulling fs layer"]
    assert puller.statuses(many.layers[1]) == [
        "Pulling fs layer",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ]
    assert puller.statuses(many.layers[5])[:3] == ["Pulling fs layer", "Waiting", "Downloading"]
    last = [line for line in puller.lines if line.status == "Downloading"][-1]
    assert last.current == last.total


def test_one_diff_id_is_fetched_and_unpacked_once(puller: Puller, many: PushedImage) -> None:
    pulled = puller.pull_and_commit("many:1")
    assert puller.unpacker.started == 6
    assert [layer.diff_id for layer in pulled.layers] == list(many.diff_ids)
    assert pulled.layers[0].staging is not None
    assert pulled.layers[6].staging is None
    assert pulled.layers[6].size_bytes == pulled.layers[0].size_bytes == 4
    assert puller.left_over() == []


def test_what_is_there_is_not_fetched_again(
    puller: Puller, hello: PushedImage, many: PushedImage
) -> None:
    puller.pull_and_commit("many:1")
    puller.pull_and_commit("hello-world")
    assert puller.statuses(hello.layers[0]) == ["Already exists"]
    puller.pull_and_commit("many:1")
    assert {line.status for line in puller.lines[1:]} == {"Already exists"}
    assert puller.unpacker.started == 6
    assert {phase.phase for phase in puller.stopwatch.phases} == {"resolve", "manifest"}
    assert len(many.layers) == 7


def test_a_removed_layer_is_unpacked_from_its_kept_blob(puller: Puller, hello: PushedImage) -> None:
    puller.pull_and_commit("hello-world")
    puller.layers.delete(Digest(hello.diff_ids[0]))
    puller.pull_and_commit("hello-world")
    assert puller.statuses(hello.layers[0]) == [
        "Pulling fs layer",
        "Download complete",
        "Extracting",
        "Pull complete",
    ]
    assert {phase.phase for phase in puller.stopwatch.phases} == {"resolve", "manifest", "unpack"}


def test_every_phase_is_measured(puller: Puller, many: PushedImage) -> None:
    begin = time.monotonic()
    puller.pull_and_commit("many:1")
    end = time.monotonic()
    phases = puller.stopwatch.phases
    assert all(begin <= p.begin_s and p.begin_s + p.duration_s <= end for p in phases)
    for name in ("download", "verify", "unpack"):
        of_layers = {phase.layer: phase for phase in phases if phase.phase == name}
        assert set(of_layers) == set(many.layers)
        assert all(phase.size_bytes > 0 for phase in of_layers.values())
    assert [phase.phase for phase in phases[:2]] == ["resolve", "manifest"]


def test_the_platform_chooses_from_an_index(own_registry: RunningRegistry, puller: Puller) -> None:
    address, name = own_registry.address, "library/multi"
    images = {
        f"linux/{architecture}": push_image(
            address, name, architecture, [_layer("arch", text)], architecture=architecture
        )
        for architecture, text in (("amd64", b"x86"), ("arm64", b"arm"))
    }
    index = push_index(address, name, "latest", images)
    for platform, image in images.items():
        pulled = puller.pull_and_commit("multi", parse_platform(platform))
        assert pulled.repo_digest == index
        assert pulled.manifest.digest == image.manifest
        assert pulled.config_digest == image.config
    with pytest.raises(ManifestNotFound, match="no matching manifest for linux/riscv64"):
        puller.pull("multi", parse_platform("linux/riscv64"))


def test_a_digest_is_pulled_without_asking_for_what_is_there(
    tmp_path: Path, own_registry: RunningRegistry, hello: PushedImage
) -> None:
    store = tmp_path / "store"
    by_digest = f"hello-world@{hello.manifest}"
    Puller(store, mirrors=[own_registry.url]).pull_and_commit(by_digest)
    # Nobody listens at port 1; everything is in the store.
    offline = Puller(store, mirrors=["http://127.0.0.1:1"])
    assert offline.pull(by_digest).repo_digest == hello.manifest
    assert offline.lines[0].id == f"docker.io/library/{by_digest}"


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("family", ["docker", "oci"])
def test_both_families_of_media_types_are_read(
    family: str, compression: str, own_registry: RunningRegistry, puller: Puller
) -> None:
    name, docker = f"library/{family}-{compression}", family == "docker"
    image = push_image(
        own_registry.address, name, "1", [_BASE], docker=docker, compression=compression
    )
    assert puller.pull(f"{name}:1").config_digest == image.config


def test_a_registry_is_named_by_its_address(own_registry: RunningRegistry, tmp_path: Path) -> None:
    push_image(own_registry.address, "team/app", "v1", [_BASE])
    pulled = Puller(tmp_path / "store").pull(f"{own_registry.address}/team/app:v1")
    assert pulled.reference.registry == own_registry.address


def test_localhost_is_loopback(own_registry: RunningRegistry, tmp_path: Path) -> None:
    push_image(own_registry.address, "team/app", "v1", [_BASE])
    port = own_registry.address.rpartition(":")[2]
    assert Puller(tmp_path / "store").pull(f"localhost:{port}/team/app:v1").layers


def test_the_hub_is_found_by_its_name(
    own_registry: RunningRegistry, hello: PushedImage, tmp_path: Path
) -> None:
    puller = Puller(tmp_path / "store", hub=own_registry.address)
    pulled = puller.pull("hub.localhost/library/hello-world")
    assert pulled.config_digest == hello.config


def test_an_unknown_tag_and_an_unknown_repository_are_docker_s_sentence(
    own_registry: RunningRegistry, tmp_path: Path, hello: PushedImage
) -> None:
    puller = Puller(tmp_path / "store")
    for name in ("library/hello-world:nosuch", "no/such:1"):
        reference = f"{own_registry.address}/{name}"
        with pytest.raises(ManifestNotFound) as caught:
            puller.pull(reference)
        expected = f"manifest for {reference} not found: manifest unknown: manifest unknown"
        assert caught.value.message == expected
    assert hello.tag == "latest"
    assert puller.lines == []


def test_a_mirror_without_the_image_hands_on_to_the_next(
    own_registry: RunningRegistry, hello: PushedImage, tmp_path: Path
) -> None:
    def nothing(asked: Asked) -> Reply:
        del asked
        return Reply(status=404)

    def broken(asked: Asked) -> Reply:
        del asked
        return Reply(status=500)

    with running_server(nothing) as first, running_server(broken) as second:
        mirrors = [first.url, "http://127.0.0.1:1", second.url, own_registry.url]
        pulled = Puller(tmp_path / "store", mirrors=mirrors).pull("hello-world")
        assert pulled.config_digest == hello.config
        assert first.paths() == second.paths() == ["/v2/library/hello-world/manifests/latest"]


def test_a_registry_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(
        RegistryUnreachable, match=r'cannot reach "127.0.0.1:1": connection refused'
    ):
        Puller(tmp_path / "store").pull("127.0.0.1:1/x")


def test_an_image_without_layers_is_an_image(own_registry: RunningRegistry, puller: Puller) -> None:
    push_image(own_registry.address, "library/scratch", "latest", [])
    assert puller.pull("scratch").layers == ()


def test_manifest_and_config_must_agree_on_the_layers(
    own_registry: RunningRegistry, puller: Puller
) -> None:
    image = push_image(own_registry.address, "library/short", "good", [_BASE, _NOISE[0]])
    url = f"{own_registry.url}/v2/library/short/manifests/{image.manifest}"
    request = urllib.request.Request(url, headers={"Accept": image.media_type})
    with urllib.request.urlopen(request) as response:
        manifest: dict[str, Any] = json.load(response)
    manifest["layers"].pop()
    data = json.dumps(manifest).encode()
    push_manifest(own_registry.address, "library/short", "bad", data, image.media_type)
    with pytest.raises(Exception, match="has 1 layers but 2 diffIDs"):
        puller.pull("short:bad")
    assert digest(data) != image.manifest
