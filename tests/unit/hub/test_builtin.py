import asyncio
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile

import pytest

from dockerlab.hub.builtin import (
    BuiltinImage,
    BuiltinRepositories,
    builtin_images,
    hello_message,
    make_hello_world,
)
from dockerlab.oci.digest import Digest, digest_of
from dockerlab.oci.imageconfig import parse_image_config
from dockerlab.oci.manifest import Index, Manifest, parse_manifest
from dockerlab.oci.platform import Platform, choose, parse_platform

# A new digest means that every cache downloads hello-world again: change it with the message only.
_INDEX_DIGEST = "sha256:fc1b00265093f7dcc17ca4575c27f80d97ddb9241f54a125e623249e64f4a403"


@pytest.fixture(scope="module")
def image() -> BuiltinImage:
    return make_hello_world()


def _manifest(image: BuiltinImage, platform: Platform) -> Manifest:
    index = parse_manifest(image.blobs[image.index.digest], image.index.media_type, "hello")
    assert isinstance(index, Index)
    chosen = choose(index.manifests, platform, "hello")
    manifest = parse_manifest(image.blobs[chosen.digest], chosen.media_type, "hello")
    assert isinstance(manifest, Manifest)
    return manifest


def test_digest_is_the_same_in_another_process_and_for_ever(image: BuiltinImage) -> None:
    code = "from dockerlab.hub.builtin import *; print(make_hello_world().index.digest)"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Seoul"}
    other = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert image.index.digest == other.strip() == _INDEX_DIGEST


def test_every_blob_has_its_digest(image: BuiltinImage) -> None:
    assert all(digest_of(data) == digest for digest, data in image.blobs.items())
    assert len(image.blobs) == 1 + 3 * 2


@pytest.mark.parametrize("name", ["linux/amd64", "linux/arm64", "linux/arm64/v8"])
def test_platform_gets_its_own_program(image: BuiltinImage, name: str) -> None:
    platform = parse_platform(name)
    manifest = _manifest(image, platform)
    config = parse_image_config(image.blobs[manifest.config.digest], "hello")
    layer = gzip.decompress(image.blobs[manifest.layers[0].digest])
    assert (config.os, config.architecture) == ("linux", platform.architecture)
    assert config.rootfs.diff_ids == (digest_of(layer),)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        (member,) = tar.getmembers()
        program = tar.extractfile(member)
        assert program is not None
        assert hello_message(platform).encode() in program.read()
    assert (member.name, member.mode, member.uid, member.gid) == ("hello", 0o755, 0, 0)


def test_config_says_how_to_run_it(image: BuiltinImage) -> None:
    manifest = _manifest(image, parse_platform("linux/amd64"))
    document = json.loads(image.blobs[manifest.config.digest])
    assert document["os"] == "linux"
    assert document["rootfs"]["type"] == "layers"
    assert document["config"]["Cmd"] == ["/hello"]
    assert document["config"]["WorkingDir"] == "/"
    assert document["config"]["Env"][0].startswith("PATH=")
    assert document["config"]["Labels"]["dockerlab.source"] == "hub"


def test_message_begins_with_the_greeting_and_names_the_platform() -> None:
    message = hello_message(parse_platform("linux/arm64"))
    assert message.startswith("Hello from dockerlab!\n")
    assert "linux/arm64" in message
    assert max(map(len, message.splitlines())) <= 96


def test_both_names_mean_the_same_image() -> None:
    images = builtin_images()
    assert images["hello-world"] is images["library/hello-world"]


def test_repositories_answer_by_tag_and_digest_only(image: BuiltinImage) -> None:
    repositories = BuiltinRepositories({"hello": image})
    assert repositories.names() == ["hello"]
    assert repositories.tags("hello") == ["latest"]
    assert asyncio.run(repositories.manifest("hello", "latest")) == image.index
    assert asyncio.run(repositories.manifest("hello", image.index.digest)) == image.index
    assert asyncio.run(repositories.manifest("hello", "v1")) is None
    layer = _manifest(image, parse_platform("linux/amd64")).layers[0]
    assert asyncio.run(repositories.manifest("hello", layer.digest)) is None
    assert repositories.content("hello", layer.digest) == image.blobs[layer.digest]


def test_unknown_repository_has_nothing(image: BuiltinImage) -> None:
    repositories = BuiltinRepositories({"hello": image})
    assert repositories.tags("other") == []
    assert asyncio.run(repositories.manifest("other", "latest")) is None
    assert repositories.content("other", Digest(image.index.digest)) is None
