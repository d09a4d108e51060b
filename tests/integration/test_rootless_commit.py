"""Commits of an engine without root: owners are those of the image's files, not the user's."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import docker
import pytest

from tests.integration.test_rootless import account, client, engine, has_sub_ids
from tests.support.engine import EngineUnderTest
from tests.support.images import busybox_layer
from tests.support.registry import RunningRegistry, push_image

__all__ = ["account", "client", "engine"]  # fixtures

pytestmark = [pytest.mark.needs_rootless, pytest.mark.needs_registry, pytest.mark.needs_busybox]

_OWNER = 1234


def _image(registry: RunningRegistry) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("kept", "gone"):
            entry = tarfile.TarInfo(name)
            entry.uid = entry.gid = _OWNER
            entry.mode, entry.size = 0o4755, 3
            archive.addfile(entry, io.BytesIO(b"old"))
    push_image(
        registry.address,
        "library/owned",
        "latest",
        [busybox_layer(), buffer.getvalue()],
        config={"Cmd": ["true"], "Env": ["PATH=/bin"]},
    )


def _layer(root: Path, diff_id: str) -> dict[str, tarfile.TarInfo]:
    """Return the members of the layer's blob in the store."""
    for blob in (root / "content" / "blobs" / "sha256").iterdir():
        data = blob.read_bytes()
        if not data.startswith(b"\x1f\x8b"):
            continue
        data = gzip.decompress(data)
        if "sha256:" + hashlib.sha256(data).hexdigest() == diff_id:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                return {entry.name: entry for entry in archive}
    raise AssertionError("the layer has no blob")


def test_owners_and_deletions_come_through(
    client: docker.DockerClient, engine: EngineUnderTest, registry: RunningRegistry
) -> None:
    _image(registry)
    client.images.pull("owned", tag="latest")
    script = "echo new >>/kept; rm /gone; echo mine >/mine; mkdir /d"
    container = client.containers.create("owned", ["sh", "-c", script])
    container.start()
    assert container.wait()["StatusCode"] == 0
    image = container.commit("made", "owned")
    found = _layer(engine.root, image.attrs["RootFS"]["Layers"][-1])
    assert {"kept", ".wh.gone", "mine", "d"} <= set(found)
    assert (found["kept"].uid, found["kept"].gid) == (_OWNER, _OWNER)
    assert found["mine"].uid == 0
    if not has_sub_ids(client):
        assert not any("dockerlab" in key for key in found["kept"].pax_headers)
    told = client.containers.run("made:owned", ["sh", "-c", "cat /kept /mine; ls /gone || true"])
    assert told.startswith(b"oldnew\nmine\n")
    for made in client.containers.list(all=True):
        made.remove(force=True)
