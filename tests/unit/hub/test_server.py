import asyncio
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from dockerlab.hub.builtin import BuiltinImage, BuiltinRepositories, make_hello_world
from dockerlab.hub.server import listen, make_app
from dockerlab.oci.descriptor import OCI_INDEX, OCI_MANIFEST

_HELLO = "/v2/library/hello-world"


class Many:
    """Many repositories with many tags and nothing in them."""

    def names(self) -> list[str]:
        return [f"r{number}" for number in range(5)]

    def tags(self, name: str) -> list[str]:
        return ["b", "c", "a"] if name in self.names() else []

    def manifest(self, name: str, reference: str) -> None: ...

    def content(self, name: str, digest: str) -> None: ...


class Served:
    """A hub on a loop of its own thread."""

    def __init__(self, repositories: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(repositories,))
        self._thread.start()
        self._ready.wait()

    def _serve(self, repositories: Any) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            server, self.port = listen(make_app(repositories))
            self._ready.set()
            await self._stop.wait()
            server.stop()
            await server.close_all_connections()

        self._loop.run_until_complete(serve())
        self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def image() -> BuiltinImage:
    return make_hello_world()


@pytest.fixture(scope="module")
def hub() -> Iterator[Served]:
    served = Served(BuiltinRepositories())
    yield served
    served.close()


@pytest.fixture(scope="module")
def many() -> Iterator[Served]:
    served = Served(Many())
    yield served
    served.close()


def _code(body: bytes) -> str:
    code: str = json.loads(body)["errors"][0]["code"]
    return code


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_version_check_names_the_protocol(hub: Served, path: str) -> None:
    response, body = hub.ask("GET", path)
    assert (response.status, json.loads(body)) == (200, {})
    assert response.getheader("Docker-Distribution-API-Version") == "registry/2.0"


@pytest.mark.parametrize("repository", ["library/hello-world", "hello-world"])
def test_tag_and_digest_give_the_same_index(
    hub: Served, image: BuiltinImage, repository: str
) -> None:
    for reference in ("latest", image.index.digest):
        response, body = hub.ask("GET", f"/v2/{repository}/manifests/{reference}")
        assert body == image.blobs[image.index.digest]
        assert response.getheader("Content-Type") == OCI_INDEX
        assert response.getheader("Docker-Content-Digest") == image.index.digest


def test_manifest_of_a_platform_has_its_own_type(hub: Served, image: BuiltinImage) -> None:
    (digest, *_) = set(image.manifests) - {image.index.digest}
    response, body = hub.ask("GET", f"{_HELLO}/manifests/{digest}")
    assert response.getheader("Content-Type") == OCI_MANIFEST
    assert body == image.blobs[digest]


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_head_has_the_headers_of_get_and_no_body(
    hub: Served, image: BuiltinImage, kind: str
) -> None:
    path = f"{_HELLO}/{kind}/{image.index.digest}"
    got, _ = hub.ask("GET", path)
    head, body = hub.ask("HEAD", path)
    assert body == b""
    for name in ("Content-Type", "Content-Length", "Docker-Content-Digest", "Etag"):
        assert head.getheader(name) == got.getheader(name) is not None


@pytest.mark.parametrize(
    ("asked", "status", "begin", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=10-", 206, 10, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=3-99999999", 206, 3, None),
        ("bytes=9-3", 200, 0, None),
        ("bytes=-", 200, 0, None),
        ("bytes=0-1,3-4", 200, 0, None),
        ("lines=0-1", 200, 0, None),
    ],
)
def test_blob_is_served_by_range(
    hub: Served, image: BuiltinImage, asked: str, status: int, begin: int, end: int | None
) -> None:
    data = image.blobs[image.index.digest]
    path = f"{_HELLO}/blobs/{image.index.digest}"
    response, body = hub.ask("GET", path, {"Range": asked})
    assert (response.status, body) == (status, data[begin:end])
    if status == 206:
        first = begin % len(data)
        assert response.getheader("Content-Range") == (
            f"bytes {first}-{first + len(body) - 1}/{len(data)}"
        )


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_range_behind_the_end_is_416_with_the_size(
    hub: Served, image: BuiltinImage, asked: str
) -> None:
    path = f"{_HELLO}/blobs/{image.index.digest}"
    response, _ = hub.ask("GET", path, {"Range": asked})
    assert response.status == 416
    assert response.getheader("Content-Range") == f"bytes */{image.index.size}"


def test_known_etag_is_not_sent_again(hub: Served, image: BuiltinImage) -> None:
    path = f"{_HELLO}/blobs/{image.index.digest}"
    response, body = hub.ask("GET", path, {"If-None-Match": f'"{image.index.digest}"'})
    assert (response.status, body) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/library/other/manifests/latest", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/library/other/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", f"{_HELLO}/manifests/v1", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"{_HELLO}/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"{_HELLO}/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        ("GET", f"{_HELLO}/blobs/sha256:..", 400, "DIGEST_INVALID"),
        ("GET", f"{_HELLO}/tags/list?n=many", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v1/search", 404, "NAME_UNKNOWN"),
        ("POST", f"{_HELLO}/blobs/uploads/", 405, "UNSUPPORTED"),
        ("PUT", f"{_HELLO}/manifests/latest", 405, "UNSUPPORTED"),
        ("DELETE", f"{_HELLO}/manifests/latest", 405, "UNSUPPORTED"),
    ],
)
def test_errors_have_the_specifications_codes(
    hub: Served, method: str, path: str, status: int, code: str
) -> None:
    response, body = hub.ask(method, path)
    assert (response.status, _code(body)) == (status, code)
    assert (response.getheader("Content-Type") or "").startswith("application/json")


def test_catalog_and_tags_list_everything(hub: Served) -> None:
    _, catalog = hub.ask("GET", "/v2/_catalog")
    _, tags = hub.ask("GET", f"{_HELLO}/tags/list")
    assert json.loads(catalog) == {"repositories": ["hello-world", "library/hello-world"]}
    assert json.loads(tags) == {"name": "library/hello-world", "tags": ["latest"]}


@pytest.mark.parametrize(
    ("path", "key"), [("/v2/_catalog", "repositories"), ("/v2/r0/tags/list", "tags")]
)
def test_pages_are_linked_to_their_end(many: Served, path: str, key: str) -> None:
    found: list[str] = []
    link: str | None = f"{path}?n=2"
    while link:
        response, body = many.ask("GET", link)
        found += json.loads(body)[key]
        header = response.getheader("Link")
        link = header[1:].partition(">")[0] if header else None
    assert found == sorted({"repositories": Many().names(), "tags": Many().tags("r0")}[key])


def test_tls_is_answered_at_once(hub: Served) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", hub.port), timeout=5) as connection,
        pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"),
    ):
        context.wrap_socket(connection, server_hostname="localhost")


@pytest.mark.needs_skopeo
def test_skopeo_inspects_and_copies(hub: Served, image: BuiltinImage, tmp_path: Path) -> None:
    name = f"docker://127.0.0.1:{hub.port}/library/hello-world"
    shown = run(["skopeo", "inspect", "--tls-verify=false", name], capture_output=True, check=True)
    document = json.loads(shown.stdout)
    assert document["Digest"] == image.index.digest
    assert document["Labels"]["dockerlab.source"] == "hub"
    copy = ["skopeo", "--insecure-policy", "copy", "--all", "--src-tls-verify=false", name]
    run([*copy, f"oci:{tmp_path}:latest"], capture_output=True, check=True)
    copied = {path.name: path.read_bytes() for path in (tmp_path / "blobs/sha256").iterdir()}
    assert copied == {digest[7:]: data for digest, data in image.blobs.items()}
