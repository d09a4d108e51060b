"""Images between engines: by archives and by a registry, there and back, with the same digests."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support.dockerd import running_dockerd
from tests.support.hub import running_hub

pytestmark = [pytest.mark.needs_registry, pytest.mark.needs_busybox]


@pytest.fixture(autouse=True)
def images(client: docker.DockerClient) -> Iterator[None]:
    _forget(client)
    client.images.pull("busybox", tag="latest")
    container = client.containers.create("busybox", ["sh", "-c", "echo made >/made; mkdir /d"])
    container.start()
    container.wait()
    container.commit("made", "one", changes=['CMD ["cat", "/made"]'])
    container.remove()
    yield
    _forget(client)


def _forget(client: docker.DockerClient) -> None:
    for image in client.images.list():
        client.images.remove(str(image.id), force=True)


def save(client: docker.DockerClient, path: Path, *names: str) -> Path:
    params = {"names": list(names)}
    answer = client.api.get(f"{client.api.base_url}/images/get", params=params, stream=True)
    assert answer.status_code == 200
    with path.open("wb") as file:
        for piece in answer.iter_content(1 << 20):
            file.write(piece)
    return path


def load(client: docker.DockerClient, path: Path) -> list[Any]:
    with path.open("rb") as file:
        return list(client.images.load(file))


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.decode())


def test_pull_save_load_push_pull_gives_the_same_digests(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    with running_hub(tmp_path / "hub") as hub:
        name = f"{hub.address}/trip/box"
        seen = []
        for kind in ("busybox:latest", "made:one"):
            before = client.images.get(kind)
            archive = save(client, tmp_path / "saved.tar", kind)
            client.images.remove(kind)
            [loaded] = load(client, archive)
            assert loaded.id == before.id
            tag = kind.partition(":")[0]
            loaded.tag(name, tag)
            lines = list(client.images.push(name, tag=tag, stream=True, decode=True))
            [pushed] = [line["aux"]["Digest"] for line in lines if "aux" in line]
            client.images.remove(kind, force=True)
            client.images.remove(f"{name}:{tag}", force=True)
            pulled = client.images.pull(name, tag=tag)
            assert pulled.id == before.id
            assert f"{name}@{pushed}" in pulled.attrs["RepoDigests"]
            listed = before.attrs["RepoDigests"]
            assert all(text.endswith(pushed) for text in listed)
            seen.append(pushed)
            pulled.tag(*kind.split(":"))
        assert client.containers.run(f"{name}:made", remove=True) == b"made\n"
        assert len(set(seen)) == 2


@pytest.mark.needs_skopeo
def test_skopeo_reads_what_is_saved_and_what_it_writes_is_read(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    archive = save(client, tmp_path / "saved.tar", "made:one")
    before = client.images.get("made:one")
    for form in ("docker-archive", "oci-archive"):
        source = f"{form}:{archive}" + (":made:one" if form == "docker-archive" else "")
        seen = json.loads(run("skopeo", "inspect", "--config", source))
        assert seen["rootfs"]["diff_ids"] == before.attrs["RootFS"]["Layers"]
        # A config that skopeo writes back is the same one.
        copy = tmp_path / f"{form}.tar"
        run("skopeo", "copy", source, f"{form}:{copy}:again:two")
        loaded = {image.id for image in load(client, copy)}
        assert loaded == {before.id}
        assert client.images.get("again:two").id == before.id
        client.images.remove("again:two")


@pytest.mark.needs_podman
def test_podman_reads_what_is_saved_and_what_it_writes_is_read(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    archive = save(client, tmp_path / "saved.tar", "made:one")
    before = client.images.get("made:one")
    with tempfile.TemporaryDirectory(prefix="pd-") as folder:
        where = ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        podman = ["podman", *where, "--storage-driver", "vfs"]
        run(*podman, "load", "-q", "-i", str(archive))
        seen = json.loads(run(*podman, "image", "inspect", "made:one"))[0]
        assert f"sha256:{seen['Id']}" == before.id
        for form in ("docker-archive", "oci-archive"):
            copy = tmp_path / f"{form}.tar"
            run(*podman, "save", "-q", "--format", form, "-o", str(copy), "made:one")
            [loaded] = load(client, copy)
            assert loaded.attrs["RootFS"] == before.attrs["RootFS"]


@pytest.mark.needs_dockerd
def test_dockerd_reads_what_is_saved_and_pushed_and_what_it_writes_is_read(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    archive = save(client, tmp_path / "saved.tar", "made:one")
    before = client.images.get("made:one")
    with running_hub(tmp_path / "hub") as hub, running_dockerd() as other:
        theirs = docker.DockerClient(base_url=other.address, version="1.41")
        try:
            [loaded] = load(theirs, archive)
            assert (loaded.id, loaded.tags) == (before.id, ["made:one"])
            name = f"{hub.address}/trip/box"
            before.tag(name, "ours")
            client.images.push(name, tag="ours")
            assert theirs.images.pull(name, tag="ours").id == before.id
            loaded.tag(name, "theirs")
            assert "aux" in theirs.images.push(name, tag="theirs")
            copy = save(theirs, tmp_path / "theirs.tar", "made:one")
        finally:
            theirs.close()
        _forget(client)
        [back] = load(client, copy)
        assert (back.id, back.tags) == (before.id, ["made:one"])
        assert client.images.pull(name, tag="theirs").id == before.id
        assert client.containers.run("made:one", remove=True) == b"made\n"
