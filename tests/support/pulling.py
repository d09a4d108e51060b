"""A pull with real stores and real workers, without an engine; and images put together by hand."""

import gzip
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dockerlab.image.content import ContentStore
from dockerlab.image.layers import FolderLayers
from dockerlab.image.progress import PullProgress
from dockerlab.image.registry.connection import Pools
from dockerlab.image.registry.credential import Credentials, no_credentials
from dockerlab.image.registry.mirrors import RegistrySettings
from dockerlab.image.registry.pull import Pulled, pull
from dockerlab.image.registry.session import Session
from dockerlab.image.registry.transport import Transport
from dockerlab.oci.platform import Platform, parse_platform
from dockerlab.oci.reference import parse_reference
from dockerlab.phases import Stopwatch
from tests.support.httpserver import Asked, Reply
from tests.support.registry import digest
from tests.support.unpacker import ProcessUnpacker

__all__ = ["HandmadeImage", "Puller"]

AMD64 = parse_platform("linux/amd64")


class Puller:
    """Stores in `folder`, and pulls into them; `lines` and `stopwatch` are of the last pull."""

    def __init__(
        self,
        folder: Path,
        *,
        mirrors: Sequence[str] = (),
        insecure: Sequence[str] = (),
        hub: str = "",
        credentials: Credentials = no_credentials,
        read_timeout_s: float = 10.0,
    ) -> None:
        self.content = ContentStore(folder / "content")
        self.layers = FolderLayers(folder / "layers")
        self.unpacker = ProcessUnpacker()
        self.lines: list[PullProgress] = []
        self.stopwatch = Stopwatch()
        self.cancelled = threading.Event()
        settings = RegistrySettings(
            mirrors=tuple(mirrors), insecure_registries=tuple(insecure), hub_address=hub
        )
        transport = Transport(Pools(read_timeout_s=read_timeout_s))
        self.session = Session(settings, credentials=credentials, transport=transport)
        self._layers_folder = folder / "layers"

    def pull(self, reference: str, platform: Platform = AMD64) -> Pulled:
        """Pull without committing the layers."""
        self.lines, self.stopwatch = [], Stopwatch()
        return pull(
            parse_reference(reference),
            platform,
            session=self.session,
            content=self.content,
            layers=self.layers,
            unpacker=self.unpacker,
            emit=self.lines.append,
            stopwatch=self.stopwatch,
            cancelled=self.cancelled,
        )

    def pull_and_commit(self, reference: str, platform: Platform = AMD64) -> Pulled:
        """Pull and make the layers visible, as the engine does."""
        pulled = self.pull(reference, platform)
        for layer in pulled.layers:
            if layer.staging is not None:
                self.layers.commit(layer.diff_id, layer.staging, layer.size_bytes)
        return pulled

    def statuses(self, layer: str = "") -> list[str]:
        """Return the lines' statuses in order, of one layer or of all, repeated ones once."""
        found: list[str] = []
        for line in self.lines:
            if layer and line.id != layer.removeprefix("sha256:")[:12]:
                continue
            if not found or found[-1] != line.status:
                found.append(line.status)
        return found

    def left_over(self) -> list[str]:
        """Return the names of staging folders."""
        names = [path.name for path in self._layers_folder.iterdir() if path.name != "sizes"]
        return [name for name in names if "." in name]


class HandmadeImage:
    """The documents of an image for a scripted server; every part can be made wrong."""

    def __init__(self, *layers: bytes, manifest: Mapping[str, Any] | None = None) -> None:
        packed = [gzip.compress(layer, 1, mtime=0) for layer in layers]
        self.layers = [digest(blob) for blob in packed]
        self.blobs = {digest(blob): blob for blob in packed}
        config = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }
        self.config = json.dumps(config).encode()
        self.blobs[digest(self.config)] = self.config
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(self.config),
                "size": len(self.config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": digest(blob),
                    "size": len(blob),
                }
                for blob in packed
            ],
        }
        self.manifest = json.dumps(document | dict(manifest or {})).encode()

    def respond(self, asked: Asked) -> Reply:
        """Answer as a proper registry does, ranges included."""
        last = asked.path.rpartition("/")[2]
        if "/manifests/" in asked.path:
            if last.startswith("sha256:") and last != digest(self.manifest):
                return self.unknown("MANIFEST_UNKNOWN")
            headers = {"Content-Type": json.loads(self.manifest)["mediaType"]}
            return Reply(headers=headers, body=self.manifest)
        blob = self.blobs.get(last)
        if blob is None:
            return self.unknown("BLOB_UNKNOWN")
        ranged = asked.headers.get("Range", "")
        if ranged:
            begin = int(ranged.removeprefix("bytes=").removesuffix("-"))
            where = f"bytes {begin}-{len(blob) - 1}/{len(blob)}"
            return Reply(status=206, headers={"Content-Range": where}, body=blob[begin:])
        return Reply(body=blob)

    @staticmethod
    def unknown(code: str) -> Reply:
        """Return a 404 of the distribution specification."""
        error = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
        return Reply(status=404, body=json.dumps(error).encode())
