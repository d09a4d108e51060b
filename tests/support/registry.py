"""A real registry for tests: Debian's `docker-registry` on loopback, and a small pusher.

Not a client of the product: it speaks just enough of the distribution API (plain PUT over HTTP) to
fill the registry, so that a fault in our own client cannot hide in the tests' data.
"""

import gzip
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "PushedImage",
    "RunningRegistry",
    "digest",
    "find_registry_program",
    "free_port",
    "push_blob",
    "push_image",
    "push_index",
    "push_manifest",
    "running_registry",
]

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
_START_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRegistry:
    """A started registry. `address` is ``127.0.0.1:PORT``; `root` holds its files."""

    address: str
    root: Path
    pid: int

    @property
    def url(self) -> str:
        """The address with its scheme, as mirrors are configured."""
        return f"http://{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedImage:
    """What `push_image` made. `layers` are the compressed layers' digests, lowest first."""

    repository: str
    tag: str
    manifest: str
    config: str
    layers: tuple[str, ...]
    diff_ids: tuple[str, ...]
    manifest_size: int
    media_type: str


def digest(data: bytes) -> str:
    """Return the sha256 digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_registry_program() -> str | None:
    """Return the path of a registry program, or None where the package is not installed."""
    for name in ("docker-registry", "registry"):
        if path := shutil.which(name):
            return path
    return None


@contextmanager
def running_registry(
    root: Path,
    *,
    port: int = 0,
    auth: dict[str, Any] | None = None,
    tls: Mapping[str, object] | None = None,
) -> Iterator[RunningRegistry]:
    """Run a registry over the folder `root` until the block ends.

    Parameters
    ----------
    root : Path
        Its folder; a second start over the same folder finds the same images.
    port : int
        0 chooses a free one.
    auth : dict
        The ``auth`` section of its configuration, None for none.
    tls : Mapping
        The ``http.tls`` section, None for plain HTTP.
    """
    program = find_registry_program()
    if program is None:
        raise FileNotFoundError("docker-registry is not installed (apt install docker-registry)")
    root.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{port or free_port()}"
    config = root / "config.json"
    config.write_text(json.dumps(_configuration(root / "data", address, auth, tls)))
    with (root / "log").open("ab") as log:
        process = subprocess.Popen(
            [program, "serve", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        _wait_until_it_answers(process, address, root / "log")
        yield RunningRegistry(address=address, root=root, pid=process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def push_blob(address: str, repository: str, data: bytes) -> str:
    """Upload `data` in one piece and return its digest."""
    name = digest(data)
    location = _request(address, "POST", f"/v2/{repository}/blobs/uploads/", expect=202)
    path = location.removeprefix(f"http://{address}")
    path += ("&" if "?" in path else "?") + f"digest={name}"
    _request(address, "PUT", path, body=data, content_type="application/octet-stream", expect=201)
    return name


def push_manifest(
    address: str, repository: str, reference: str, data: bytes, media_type: str
) -> str:
    """Put the bytes of a manifest or an index under a tag or a digest; return its digest."""
    path = f"/v2/{repository}/manifests/{reference}"
    _request(address, "PUT", path, body=data, content_type=media_type, expect=201)
    return digest(data)


def push_image(
    address: str,
    repository: str,
    tag: str,
    layers: Sequence[bytes],
    *,
    config: dict[str, Any] | None = None,
    architecture: str = "amd64",
    docker: bool = False,
    compression: str = "gzip",
) -> PushedImage:
    """Push an image.

    Parameters
    ----------
    address, repository, tag : str
        Where to; `repository` in full (``library/hello-world``).
    layers : sequence of bytes
        Uncompressed tar archives, lowest first.
    config : dict
        The ``config`` member of the image config (``Cmd``, ``Env`` …).
    docker : bool
        Docker's media types, else OCI's.
    compression : str
        ``gzip`` or ``none``.
    """
    blobs = [
        gzip.compress(layer, 6, mtime=0) if compression == "gzip" else layer for layer in layers
    ]
    diff_ids = tuple(digest(layer) for layer in layers)
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": "2024-01-02T03:04:05.123456789Z",
        "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created_by": f"layer {index}"} for index in range(len(layers))],
    }
    config_bytes = json.dumps(document).encode()
    manifest_type = _DOCKER_MANIFEST if docker else _MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": _describe(_config_type(docker=docker), config_bytes),
        "layers": [_describe(_layer_type(compression, docker=docker), blob) for blob in blobs],
    }
    for blob in {config_bytes, *blobs}:
        push_blob(address, repository, blob)
    data = json.dumps(manifest).encode()
    push_manifest(address, repository, tag, data, manifest_type)
    return PushedImage(
        repository=repository,
        tag=tag,
        manifest=digest(data),
        config=digest(config_bytes),
        layers=tuple(digest(blob) for blob in blobs),
        diff_ids=diff_ids,
        manifest_size=len(data),
        media_type=manifest_type,
    )


def push_index(
    address: str, repository: str, tag: str, images: dict[str, PushedImage], *, docker: bool = False
) -> str:
    """Put an index of images that were pushed before; keys are ``os/arch[/variant]``."""
    manifests = []
    for platform, image in images.items():
        system, architecture, *variant = platform.split("/")
        manifests.append(
            {
                "mediaType": image.media_type,
                "digest": image.manifest,
                "size": image.manifest_size,
                "platform": {"os": system, "architecture": architecture}
                | ({"variant": variant[0]} if variant else {}),
            }
        )
    media_type = _DOCKER_INDEX if docker else _INDEX
    index = {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}
    return push_manifest(address, repository, tag, json.dumps(index).encode(), media_type)


def _config_type(*, docker: bool) -> str:
    if docker:
        return "application/vnd.docker.container.image.v1+json"
    return "application/vnd.oci.image.config.v1+json"


def _layer_type(compression: str, *, docker: bool) -> str:
    if docker:
        return "application/vnd.docker.image.rootfs.diff.tar" + (
            ".gzip" if compression == "gzip" else ""
        )
    return "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compression == "gzip" else "")


def _describe(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def _configuration(
    data: Path, address: str, auth: dict[str, Any] | None, tls: Mapping[str, object] | None
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(data)},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": address, "secret": "a secret of the tests"},
    }
    if auth is not None:
        config["auth"] = auth
    if tls is not None:
        config["http"]["tls"] = dict(tls)
    return config


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            _get_base(address)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                message = f"the registry did not start: {log.read_text()[-2000:]}"
                raise RuntimeError(message) from None
            time.sleep(0.02)
        else:
            return


def _get_base(address: str) -> None:
    # A registry with TLS answers this, too: with 400 and a sentence.
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/v2/")
        connection.getresponse().read()
    finally:
        connection.close()


def _request(
    address: str,
    method: str,
    path: str,
    *,
    expect: int,
    body: bytes = b"",
    content_type: str = "",
) -> str:
    """Make one request; return the ``Location`` of the answer."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        headers = {"Content-Type": content_type} if content_type else {}
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != expect:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:500]!r}")
        return response.headers.get("Location", "")
    finally:
        connection.close()
