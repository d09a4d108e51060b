"""Builds of an engine without root: owners are those inside, and stay so in the image."""

import io
import tarfile
from pathlib import Path

import docker
import pytest

from tests.integration.test_rootless import account, client, engine, has_sub_ids
from tests.support.engine import EngineUnderTest

__all__ = ["account", "client", "engine"]  # fixtures

pytestmark = [pytest.mark.needs_rootless, pytest.mark.needs_registry, pytest.mark.needs_busybox]

_DOCKERFILE = """FROM busybox
COPY a /a
COPY --chown=12:34 a /owned/
RUN echo ran > /ran && rm /bin/wget
COPY --from=busybox /bin/busybox /copy
WORKDIR /w
"""


def test_a_build_without_root(
    client: docker.DockerClient, engine: EngineUnderTest, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "Dockerfile").write_text(_DOCKERFILE)
    image, _ = client.images.build(path=str(tmp_path), rm=True)
    container = client.containers.create(str(image.id), ["true"])
    pieces, _ = container.get_archive("/owned/a")
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        [entry] = archive.getmembers()
    told = client.api.diff(str(container.id))
    container.remove()

    expected = (12, 34) if has_sub_ids(client) else (0, 0)
    assert (entry.uid, entry.gid) == expected
    assert not told
    assert not list((engine.root / "builds").iterdir())
    command = ["sh", "-c", "pwd; cat /ran /a; ls /bin/wget"]
    ran = client.containers.create(str(image.id), command)
    ran.start()
    ran.wait()
    assert ran.logs(stderr=False) == b"/w\nran\na"
    ran.remove()
