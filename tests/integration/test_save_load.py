"""`docker save`, `docker load` and `docker import`: what comes back, and what is refused."""

import gzip
import hashlib
import io
import json
import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support.engine import EngineUnderTest, wait_until
from tests.support.fixtures import DockerCli
from tests.support.images import busybox_layer, layer


@pytest.fixture(autouse=True)
def images(client: docker.DockerClient) -> Iterator[None]:
    client.images.pull("busybox", tag="latest")
    yield
    for container in client.containers.list(all=True):
        container.remove(force=True)
    for image in client.images.list():
        client.images.remove(str(image.id), force=True)


def saved(client: docker.DockerClient, *names: str) -> bytes:
    answer = client.api.get(f"{client.api.base_url}/images/get", params={"names": list(names)})
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        opened = {entry.name: archive.extractfile(entry) for entry in archive}
        return {name: file.read() for name, file in opened.items() if file is not None}


def packed(*files: tuple[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def docker_archive(
    layers: list[bytes], *, tags: list[str], diff_ids: list[str] | None = None, **config: Any
) -> bytes:
    """Return an archive as docker 20.10 writes it: folders of layers, the list at the end."""
    ids = diff_ids or [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers]
    document = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["cat", "/f"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": ids},
            **config,
        }
    ).encode()
    name = f"{hashlib.sha256(document).hexdigest()}.json"
    names = [f"{n}/layer.tar" for n in range(len(layers))]
    listed = json.dumps([{"Config": name, "RepoTags": tags, "Layers": names}]).encode()
    files = [*zip(names, layers, strict=True), (name, document), ("manifest.json", listed)]
    return packed(*files)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def blobs(engine: EngineUnderTest) -> set[str]:
    return names_in(engine.root / "content" / "blobs" / "sha256")


def refusal(client: docker.DockerClient, method: str, path: str, data: bytes = b"") -> str:
    answer = client.api.request(method, f"{client.api.base_url}{path}", data=data)
    assert answer.status_code >= 400
    return str(answer.json()["message"])


def test_an_image_comes_back_with_every_digest(
    client: docker.DockerClient, engine: EngineUnderTest
) -> None:
    before = client.images.get("busybox")
    data = saved(client, "busybox:latest")
    assert saved(client, "busybox:latest") == data
    kept = blobs(engine)
    client.images.remove("busybox")
    assert not client.images.list()
    [after] = client.images.load(data)
    assert (after.id, after.tags) == (before.id, ["busybox:latest"])
    # The manifest is the very one, the layers are the very blobs.
    assert blobs(engine) <= kept
    assert saved(client, "busybox:latest") == data
    assert client.containers.run("busybox", ["echo", "here"], remove=True) == b"here\n"


def test_what_is_saved_is_a_layout_and_dockers_list(client: docker.DockerClient) -> None:
    found = members(saved(client, "busybox"))
    assert found["oci-layout"] == b'{"imageLayoutVersion":"1.0.0"}'
    [listed] = json.loads(found["manifest.json"])
    assert listed["RepoTags"] == ["busybox:latest"]
    [named] = json.loads(found["index.json"])["manifests"]
    assert named["annotations"]["io.containerd.image.name"] == "docker.io/library/busybox:latest"
    manifest = json.loads(found[f"blobs/sha256/{named['digest'][7:]}"])
    for part in (manifest["config"], *manifest["layers"]):
        data = found[f"blobs/sha256/{part['digest'][7:]}"]
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == part["digest"]


def test_several_images_share_their_layers(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "echo x >/x"])
    container.start()
    container.wait()
    made = container.commit("made", "one")
    made.tag("other", "two")
    container.remove()
    data = saved(client, "busybox", "made:one", "other")
    names = list(members(data))
    assert len(names) == len(set(names))
    for image in client.images.list():
        client.images.remove(str(image.id), force=True)
    loaded = client.images.load(data)
    tags = {tag for image in loaded for tag in image.tags}
    assert tags == {"busybox:latest", "made:one", "other:two"}
    assert client.containers.run("other:two", ["cat", "/x"], remove=True) == b"x\n"


def test_by_its_id_an_image_has_no_name(client: docker.DockerClient) -> None:
    image = client.images.get("busybox")
    data = saved(client, str(image.id))
    client.images.remove("busybox")
    [loaded] = client.images.load(data)
    assert (loaded.id, loaded.tags) == (image.id, [])


def test_an_archive_of_docker_20_is_read(client: docker.DockerClient) -> None:
    data = docker_archive([busybox_layer(), layer({"f": b"old form\n"})], tags=["old:form"])
    [image] = client.images.load(data)
    assert image.tags == ["old:form"]
    assert client.containers.run("old:form", remove=True) == b"old form\n"
    [again] = client.images.load(gzip.compress(data))
    assert again.id == image.id


def test_a_tag_moves_and_the_user_is_told(client: docker.DockerClient) -> None:
    first = docker_archive([layer({"f": b"1"})], tags=["move:it"])
    second = docker_archive([layer({"f": b"2"})], tags=["move:it"])
    [old] = client.images.load(first)
    answer = client.api.post(f"{client.api.base_url}/images/load", data=second)
    assert f"renaming the old one with ID {old.id} to empty string" in answer.text
    assert "Loaded image: move:it" in answer.text
    assert client.images.get("move:it").id != old.id


_ONE = layer({"f": b"x"})
_WRONG = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no archive at all" * 100, "cannot be read"),
        (packed(("f", b"x")), "holds no image"),
        (packed(("../manifest.json", b"[]")), "a member outside it"),
        (packed(("/etc/passwd", b"x")), "a member outside it"),
        (packed(links={"manifest.json": "../../etc/passwd"}), "a member outside it"),
        (
            packed(links={"manifest.json": "b", "b": "manifest.json"}),
            "without end",
        ),
        (packed(("manifest.json", b'[{"Config":1}]')), "not valid"),
        (packed(("manifest.json", b'[{"Config":"a.json"}]')), "lacks the config"),
        (packed(("manifest.json", b"[" * 100_000)), "not valid"),
        (docker_archive([_ONE], tags=["bad:one"], diff_ids=[_WRONG]), "its contents are"),
        (docker_archive([_ONE], tags=["bad:one"], diff_ids=[_WRONG] * 2), "length mismatch"),
        (docker_archive([_ONE], tags=["bad:one"], os="windows"), "cannot load windows image"),
        (docker_archive([_ONE], tags=["NOT:valid:at/all"]), "invalid reference format"),
        (docker_archive([layer({"../out": b"x"})], tags=["bad:one"]), "failed to register layer"),
        (packed((f"blobs/sha256/{'0' * 64}", b"other bytes")), "has the digest"),
        (packed(("blobs/sha256/../../x", b"x"), ("blobs/sha256/short", b"x")), "digest"),
        (docker_archive([_ONE], tags=["bad:one"])[:2048], "cannot be read|holds no image"),
    ],
)
def test_a_hostile_archive_leaves_nothing(
    client: docker.DockerClient, engine: EngineUnderTest, data: bytes, words: str
) -> None:
    before, layers = blobs(engine), names_in(engine.root / "layers")
    answer = client.api.post(f"{client.api.base_url}/images/load", data=data)
    text = answer.json()["message"] if answer.status_code != 200 else answer.text
    assert any(word in text for word in words.split("|")), text
    assert not [tag for image in client.images.list() for tag in image.tags if "bad" in tag]
    assert blobs(engine) == before
    assert names_in(engine.root / "layers") == layers
    assert not names_in(engine.root / "content" / "ingest")


def test_a_client_that_goes_away_leaves_nothing(
    client: docker.DockerClient, engine: EngineUnderTest
) -> None:
    before = blobs(engine)
    data = docker_archive([layer({"f": os.urandom(4 << 20)})], tags=["gone:away"])
    for path in ("/images/load", "/images/create?fromSrc=-&repo=gone"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(engine.socket))
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
            connection.sendall(head.encode() + data[: len(data) // 2 // 512 * 512])
        wait_until(lambda: not names_in(engine.root / "content" / "ingest"), "nothing is written")
        wait_until(lambda: blobs(engine) == before, "the blobs are gone")
    assert not client.images.list(name="gone")


def test_nothing_is_saved_of_a_name_that_is_not_there(client: docker.DockerClient) -> None:
    assert "No such image: none" in refusal(client, "GET", "/images/get?names=none")
    assert "No such image: none" in refusal(client, "GET", "/images/none/get")


def test_files_become_an_image(client: docker.DockerClient, tmp_path: Path) -> None:
    data = gzip.compress(busybox_layer())
    (tmp_path / "root.tar.gz").write_bytes(data)
    answer = client.api.import_image_from_data(
        data, repository="files", tag="in", changes=['CMD ["echo", "imported"]', "ENV PATH=/bin"]
    )
    image = client.images.get("files:in")
    assert json.loads(answer)["status"] == image.id
    assert [line["Comment"] for line in image.history()] == ["Imported from -"]
    assert client.containers.run("files:in", remove=True) == b"imported\n"
    path = "/images/create?fromSrc=-&repo=bad"
    assert "failed to register" in refusal(client, "POST", path, b"no archive" * 99)
    path = "/images/create?fromSrc=http://127.0.0.1/x"
    assert "cannot be imported from an address" in refusal(client, "POST", path)


@pytest.mark.needs_docker_cli
def test_the_docker_client_saves_loads_and_imports(
    docker_cli: DockerCli, client: docker.DockerClient, tmp_path: Path
) -> None:
    archive = tmp_path / "saved.tar"
    assert docker_cli("save", "-o", str(archive), "busybox").returncode == 0
    client.images.remove("busybox")
    done = docker_cli("load", "-i", str(archive))
    assert (done.returncode, done.stdout) == (0, "Loaded image: busybox:latest\n")
    container = client.containers.create("busybox", ["true"])
    exported = tmp_path / "root.tar"
    assert docker_cli("export", "-o", str(exported), str(container.id)).returncode == 0
    done = docker_cli("import", "-m", "words", str(exported), "flat:one")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sha256:")
    assert docker_cli("run", "--rm", "flat:one", "/bin/echo", "flat").stdout == "flat\n"
    assert client.images.get("flat:one").history()[0]["Comment"] == "words"
