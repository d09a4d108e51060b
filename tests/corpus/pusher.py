"""Push images of the corpus to a registry over plain HTTP, large layers from the disk.

See distribution-spec/spec.md#pushing-blobs: one POST for the place, one PUT with the bytes.
"""

import http.client
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockerlab.hub.builtin import make_hello_world
from tests.corpus.layers import BuiltLayer
from tests.corpus.recipes import RECIPES, Recipe
from tests.corpus.shelf import Shelf
from tests.support.registry import push_blob, push_manifest

__all__ = ["HELLO", "Pushed", "push"]

HELLO = "hello-world"
_CREATED = "2024-01-01T00:00:00Z"
_TIMEOUT_S = 300
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_OCI = "application/vnd.oci.image"
_DOCKER = "application/vnd.docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What the registry has now; `size` is the sum of the compressed layers in bytes."""

    reference: str
    digest: str
    layers: int
    entries: int
    size: int


def push(address: str, name: str, shelf: Shelf) -> Pushed:
    """Push the image `name` as ``library/<name>:latest``.

    Parameters
    ----------
    address : str
        ``host:port`` of a registry that speaks plain HTTP.
    name : str
        `HELLO` or a key of `RECIPES`.
    shelf : Shelf
        Where built images are kept.
    """
    return _push_hello(address) if name == HELLO else _push_built(address, name, shelf)


def _push_hello(address: str) -> Pushed:
    image = make_hello_world()
    repository = f"library/{HELLO}"
    for digest, data in image.blobs.items():
        if digest not in image.manifests:
            push_blob(address, repository, data)
    # A registry refuses an index before its manifests.
    for digest, descriptor in image.manifests.items():
        if digest != image.index.digest:
            push_manifest(address, repository, digest, image.blobs[digest], descriptor.media_type)
    index = image.blobs[image.index.digest]
    push_manifest(address, repository, "latest", index, image.index.media_type)
    size = sum(map(len, image.blobs.values()))
    return Pushed(
        reference=f"{address}/{repository}:latest",
        digest=image.index.digest,
        layers=1,
        entries=1,
        size=size,
    )


def _push_built(address: str, name: str, shelf: Shelf) -> Pushed:
    folder, layers = shelf.build(name)
    repository = f"library/{name}"
    for layer in layers:
        _push_file(address, repository, folder / layer.file, layer.digest)
    config = json.dumps(_config(RECIPES[name], layers)).encode()
    config_digest = push_blob(address, repository, config)
    manifest = _manifest(RECIPES[name], layers, config_digest, len(config))
    data = json.dumps(manifest).encode()
    digest = push_manifest(address, repository, "latest", data, manifest["mediaType"])
    return Pushed(
        reference=f"{address}/{repository}:latest",
        digest=digest,
        layers=len(layers),
        entries=sum(layer.entries for layer in layers),
        size=sum(layer.size for layer in layers),
    )


def _config(recipe: Recipe, layers: list[BuiltLayer]) -> dict[str, Any]:
    return {
        "architecture": _MACHINES[platform.machine()],
        "os": "linux",
        "created": _CREATED,
        "config": recipe.run,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": _CREATED, "created_by": f"tests.corpus layer {number}"}
            for number in range(len(layers))
        ],
    }


def _manifest(
    recipe: Recipe, layers: list[BuiltLayer], config_digest: str, config_size: int
) -> dict[str, Any]:
    if recipe.is_docker:
        kind = f"{_DOCKER}.distribution.manifest.v2+json"
        config_kind = f"{_DOCKER}.container.image.v1+json"
        layer_kind = f"{_DOCKER}.image.rootfs.diff.tar.gzip"
    else:
        kind = f"{_OCI}.manifest.v1+json"
        config_kind = f"{_OCI}.config.v1+json"
        layer_kind = f"{_OCI}.layer.v1.tar+gzip"
    return {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {"mediaType": config_kind, "digest": config_digest, "size": config_size},
        "layers": [
            {"mediaType": layer_kind, "digest": layer.digest, "size": layer.size}
            for layer in layers
        ],
    }


def _push_file(address: str, repository: str, path: Path, digest: str) -> None:
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        if (
            _ask(connection, "HEAD", f"/v2/{repository}/blobs/{digest}").status
            == http.HTTPStatus.OK
        ):
            return
        begun = _ask(connection, "POST", f"/v2/{repository}/blobs/uploads/")
        place = begun.getheader("Location", "").removeprefix(f"http://{address}")
        place += f"{'&' if '?' in place else '?'}digest={digest}"
        with path.open("rb") as file:
            headers = {
                "Content-Length": str(path.stat().st_size),
                "Content-Type": "application/octet-stream",
            }
            connection.request("PUT", place, body=file, headers=headers)
            response = connection.getresponse()
        answer = response.read()
        if response.status != http.HTTPStatus.CREATED:
            raise RuntimeError(f"cannot push {digest} to {address}: {response.status} {answer!r}")
    finally:
        connection.close()


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str
) -> http.client.HTTPResponse:
    connection.request(method, path, headers={"Content-Length": "0"})
    response = connection.getresponse()
    response.read()
    return response
