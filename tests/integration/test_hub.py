"""The hub with other people's clients, and as the mirror that a classroom pulls through."""

import hashlib
import http.client
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support.engine import EngineUnderTest
from tests.support.fixtures import DockerCli
from tests.support.httpserver import Asked, Reply, running_server
from tests.support.hub import RunningHub, running_hub
from tests.support.images import layer
from tests.support.registry import RunningRegistry, push_image

pytestmark = [pytest.mark.needs_registry, pytest.mark.needs_busybox]

_ENGINES = 3


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


def run(*command: str, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.decode())


@pytest.mark.needs_docker_cli
def test_docker_pushes_and_pulls(
    docker_cli: DockerCli, client: docker.DockerClient, hub: RunningHub
) -> None:
    name = f"{hub.address}/by/docker:one"
    image = client.images.pull("busybox", tag="latest")
    image.tag(name.removesuffix(":one"), "one")
    assert "Pushed" in docker_cli("push", name).stdout
    assert "Layer already exists" in docker_cli("push", name).stdout
    client.images.remove(str(image.id), force=True)
    assert docker_cli("run", "--rm", name, "echo", "back").stdout == "back\n"
    assert client.images.get(name).id == image.id
    client.images.remove(str(image.id), force=True)


@pytest.mark.needs_skopeo
def test_skopeo_copies_there_and_back(
    registry: RunningRegistry, hub: RunningHub, tmp_path: Path
) -> None:
    source = f"docker://{registry.address}/library/busybox:latest"
    target = f"docker://{hub.address}/by/skopeo:one"
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    run("skopeo", "copy", *plain, source, target)
    run("skopeo", "copy", *plain, target, f"oci:{tmp_path}/layout:back")
    seen = [
        json.loads(run("skopeo", "inspect", "--tls-verify=false", name))["Digest"]
        for name in (source, target)
    ]
    assert seen[0] == seen[1]
    tags = json.loads(run("skopeo", "list-tags", "--tls-verify=false", target.rpartition(":")[0]))
    assert tags["Tags"] == ["one"]
    run("skopeo", "delete", "--tls-verify=false", target)
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", target], capture_output=True, check=False
    )
    assert b"manifest unknown" in done.stderr


@pytest.mark.needs_podman
def test_podman_pushes_and_pulls(registry: RunningRegistry, hub: RunningHub) -> None:
    # Its own limit for the folder's path is 50 characters.
    with tempfile.TemporaryDirectory(prefix="pd-") as folder:
        where = ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        podman = ["podman", *where, "--storage-driver", "vfs"]
        source = f"{registry.address}/library/busybox:latest"
        target = f"{hub.address}/by/podman:one"
        run(*podman, "pull", "-q", "--tls-verify=false", source)
        run(*podman, "push", "-q", "--tls-verify=false", source, target)
        run(*podman, "rmi", "-af")
        run(*podman, "pull", "-q", "--tls-verify=false", target)
        assert target in run(*podman, "images", "--format", "{{.Repository}}:{{.Tag}}")


def test_oras_pushes_and_pulls_an_artifact(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oras.client import OrasClient

    monkeypatch.chdir(tmp_path)
    data = os.urandom(3 << 20)
    (tmp_path / "results.bin").write_bytes(data)
    client = OrasClient(hostname=hub.address, insecure=True)
    target = f"{hub.address}/by/oras:one"
    answer = client.push(target=target, files=["results.bin"], disable_path_validation=True)
    assert answer.status_code == 201
    (tmp_path / "back").mkdir()
    [pulled] = client.pull(target=target, outdir=str(tmp_path / "back"))
    assert hashlib.sha256(Path(pulled).read_bytes()).digest() == hashlib.sha256(data).digest()
    assert client.get_tags(target) == ["one"]


@pytest.mark.needs_docker_cli
def test_a_token_lets_the_docker_client_in(
    docker_cli: DockerCli, client: docker.DockerClient, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("a token of the tests")
    with running_hub(tmp_path / "hub", "--token-file", str(token)) as hub:
        name = f"{hub.address}/closed/box:one"
        image = client.images.pull("busybox", tag="latest")
        image.tag(name.removesuffix(":one"), "one")
        assert "no basic auth credentials" in docker_cli("push", name).stderr
        login = docker_cli(
            "login", "-u", "me", "--password-stdin", hub.address, data="a token of the tests"
        )
        assert "Login Succeeded" in login.stdout, login.stderr
        assert docker_cli("push", name).returncode == 0
        assert docker_cli("pull", name).returncode == 0


@pytest.fixture
def upstream(registry: RunningRegistry, tmp_path: Path) -> RunningRegistry:
    layers = [os.urandom(1 << 20) for _ in range(3)]
    packed = [_tar(f"part-{n}", data) for n, data in enumerate(layers)]
    push_image(registry.address, "library/lesson", "latest", packed, config={"Cmd": ["/x"]})
    del tmp_path
    return registry


def _tar(name: str, data: bytes) -> bytes:
    return layer({name: data})


class _Watched:
    """The upstream with a log: each request is noted, and passed on."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.is_away = False

    def respond(self, asked: Asked) -> Reply:
        if self.is_away:
            return Reply(status=404)
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            kept = {k: v for k, v in asked.headers.items() if k in ("Accept", "Range")}
            connection.request("GET", asked.path, headers=kept)
            answer = connection.getresponse()
            names = ("Content-Type", "Docker-Content-Digest", "Content-Range")
            headers = {name: answer.headers[name] for name in names if name in answer.headers}
            return Reply(status=answer.status, headers=headers, body=answer.read())
        finally:
            connection.close()


def test_engines_behind_a_hub_fetch_each_layer_once(
    upstream: RunningRegistry, tmp_path: Path
) -> None:
    watched = _Watched(upstream.address)
    with ExitStack() as stack:
        server = stack.enter_context(running_server(watched.respond))
        hub = stack.enter_context(running_hub(tmp_path / "hub", "--mirror-of", server.url))
        engines = [EngineUnderTest(mirrors=[hub.url]) for _ in range(_ENGINES)]
        for engine in engines:
            stack.callback(engine.close)
            engine.start()
        pulls = [
            subprocess.Popen(
                ["docker", "pull", "-q", "lesson"],
                env=os.environ | {"DOCKER_HOST": engine.address},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            for engine in engines
        ]
        for pull in pulls:
            output, _ = pull.communicate(timeout=120)
            assert pull.returncode == 0, output
        blobs = [path for path in server.paths() if "/blobs/" in path]
        assert len(blobs) == len(set(blobs)) == 4  # three layers and the config
        ids = {engine.connect().images.get("lesson").id for engine in engines}
        assert len(ids) == 1
        # Nobody is there any more, and the hub still has everything.
        watched.is_away = True
        engines[0].connect().images.remove("lesson", force=True)
        assert engines[0].connect().images.pull("lesson", tag="latest").id in ids


def test_the_cache_of_a_mirror_is_bounded_and_what_was_pushed_stays(
    upstream: RunningRegistry, tmp_path: Path
) -> None:
    arguments = ["--mirror-of", upstream.url, "--cache-size", "2m", "--tag-age", "0"]
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    with running_hub(tmp_path / "hub", *arguments) as hub:
        own = f"docker://{hub.address}/own/box:one"
        source = f"docker://{upstream.address}/library/busybox:latest"
        run("skopeo", "copy", *plain, source, own)
        lesson = f"docker://{hub.address}/library/lesson:latest"
        for number in range(2):
            run("skopeo", "copy", *plain, lesson, f"dir:{tmp_path}/copy{number}")
        blobs = list((hub.root / "content" / "blobs" / "sha256").iterdir())
        assert sum(path.stat().st_size > 1 << 20 for path in blobs) <= 3
        run("skopeo", "copy", *plain, own, f"dir:{tmp_path}/own")


def test_the_credentials_of_the_upstream_stay_with_the_hub(tmp_path: Path) -> None:
    seen: list[str] = []

    def respond(asked: Asked) -> Reply:
        seen.append(asked.headers.get("Authorization", ""))
        if not seen[-1]:
            return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return Reply(status=404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}')

    environ = {"DOCKERLAB_UPSTREAM_USER": "ada", "DOCKERLAB_UPSTREAM_PASSWORD": "very secret"}
    with running_server(respond) as server:
        folder = tmp_path / "hub"
        with running_hub(folder, "--mirror-of", server.url, environ=environ) as hub:
            done = subprocess.run(
                ["curl", "-si", f"{hub.url}/v2/a/manifests/x"], capture_output=True, check=True
            )
            assert b"404 Not Found" in done.stdout
            assert seen[-1].startswith("Basic ")
            assert seen[-1].encode() not in done.stdout
            assert b"secret" not in done.stdout
            log = hub.log.read_text()
    assert "secret" not in log
    assert "/v2/a/manifests/x 404" in log
