"""Volumes, binds and copies of an engine without root, with sub-ids and with one id."""

import io
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError

from tests.integration.test_rootless import account, client, engine, has_sub_ids, run
from tests.support.accounts import Account
from tests.support.engine import EngineUnderTest

__all__ = ["account", "client", "engine"]  # fixtures

pytestmark = [pytest.mark.needs_rootless, pytest.mark.needs_registry, pytest.mark.needs_busybox]


@pytest.fixture
def folder(client: docker.DockerClient, account: Account, engine: EngineUnderTest) -> Path:
    client.images.pull("busybox", tag="latest")
    made = engine.base / "host"
    made.mkdir(exist_ok=True)
    os.chown(made, account.uid, account.gid)
    return made


def archive(name: str, data: bytes, uid: int = 0) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.uid, entry.gid = len(data), uid, uid
        tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_a_bind_belongs_to_the_user(
    client: docker.DockerClient, account: Account, folder: Path
) -> None:
    run(client, "sh", "-c", "echo mine >/x/file", volumes=[f"{folder}:/x"])
    assert (folder / "file").stat().st_uid == account.uid
    with pytest.raises(docker.errors.ContainerError, match="Read-only file system"):
        run(client, "touch", "/x/no", volumes=[f"{folder}:/x:ro"])


def test_a_bind_gives_no_more_than_the_user_has(client: docker.DockerClient, folder: Path) -> None:
    del folder
    with pytest.raises(docker.errors.ContainerError, match="Permission denied"):
        run(client, "cat", "/x/shadow", volumes=["/etc:/x"])
    with pytest.raises(APIError, match="error while creating mount source path '/usr/none'"):
        run(client, "true", volumes=["/usr/none:/x"])


def test_a_volume_is_filled_used_and_removed_with_its_owners(
    client: docker.DockerClient, engine: EngineUnderTest, folder: Path
) -> None:
    del folder
    script = "test -e /bin/busybox && /bin/busybox echo filled; touch /v/bin/x"
    assert run(client, "sh", "-c", script, volumes=["filled:/bin", "filled:/v/bin"]) == "filled\n"
    if has_sub_ids(client):
        run(client, "sh", "-c", "touch /v/x; chown 1234:5 /v/x", volumes=["owned:/v"])
        owner = run(client, "stat", "-c", "%u:%g", "/v/x", volumes=["owned:/v"])
        assert owner == "1234:5\n"
    for volume in client.volumes.list():
        volume.remove()
    assert not [path for path in (engine.root / "volumes").iterdir() if path.name == "owned"]


@pytest.mark.parametrize("is_running", [True, False])
def test_copies_go_both_ways(
    client: docker.DockerClient,
    folder: Path,
    is_running: bool,  # noqa: FBT001
) -> None:
    del folder
    made = client.containers.create("busybox", ["sleep", "600"])
    try:
        if is_running:
            made.start()
        uid = 1234 if has_sub_ids(client) else 0
        assert made.put_archive("/tmp", archive("file", b"sent", uid))
        pieces, facts = made.get_archive("/tmp/file")
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
            entry = tar.getmember("file")
            assert (entry.uid, entry.size) == (uid, 4)
        assert facts is not None
        assert stat.S_IMODE(facts["mode"]) == 0o644
        assert client.api.diff(str(made.id)) == [
            {"Path": "/tmp", "Kind": 0}, {"Path": "/tmp/file", "Kind": 1},
        ]  # fmt: skip
        if is_running:
            assert made.exec_run(["cat", "/tmp/file"]).output == b"sent"
        exported: Any = made.export()
        with tarfile.open(fileobj=io.BytesIO(b"".join(bytes(piece) for piece in exported))) as tar:
            assert tar.getmember("tmp/file").size == 4
    finally:
        made.remove(force=True)
