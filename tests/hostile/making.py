"""Makes hostile inputs: layers, documents and answers of registries; `cases` says which."""

import gzip
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.archives import END, archive, header, member, pax
from tests.support.httpserver import Asked, Reply, Respond
from tests.support.pulling import HandmadeImage
from tests.support.registry import digest

__all__ = [
    "DOCUMENT",
    "INDEX",
    "LAYER",
    "MANIFEST",
    "TRANSPORT",
    "Case",
    "altered",
    "answer",
    "at",
    "bomb",
    "config_is",
    "document",
    "index_loop",
    "layer",
    "layer_with",
    "longer",
    "manifest_is",
    "manifest_with",
    "many",
    "only_config",
    "packed",
    "plain",
    "sparse",
    "whiteout",
]

LAYER, DOCUMENT, TRANSPORT = "layer", "document", "transport"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_MEGABYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input.

    Parameters
    ----------
    name : str
        What it is, for the table.
    kind : str
        Of the table's three parts.
    respond : callable
        Makes the registry's side.
    says : str
        A pattern of the error; '' when the image is taken, and what is hostile in it has no effect.
    """

    name: str
    kind: str
    respond: Callable[[], Respond]
    says: str = ""


def layer(name: str, data: bytes, says: str = "") -> Case:
    return Case(name=name, kind=LAYER, says=says, respond=lambda: HandmadeImage(data + END).respond)


def packed(name: str, says: str, blob: Callable[[], bytes], plain: bytes = b"") -> Case:
    """Return a case whose layer is these bytes, whatever they are, with the diffID of `plain`."""

    def make() -> Respond:
        return image_of(blob(), digest(plain)).respond

    return Case(name=name, kind=LAYER, says=says, respond=make)


def image_of(blob: bytes, diff_id: str, **layer: Any) -> HandmadeImage:
    image = HandmadeImage(b"")
    config = json.loads(image.config) | {"rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    image.config = json.dumps(config).encode()
    document = json.loads(image.manifest)
    document["config"] |= {"digest": digest(image.config), "size": len(image.config)}
    document["layers"][0] |= {"digest": digest(blob), "size": len(blob)} | layer
    image.manifest = json.dumps(document).encode()
    image.blobs = {digest(image.config): image.config, digest(blob): blob}
    image.layers = [digest(blob)]
    return image


def document(name: str, says: str, change: Callable[[HandmadeImage], None]) -> Case:
    """Return a case with a document that is changed behind its making."""

    def make() -> Respond:
        image = plain()
        change(image)
        return image.respond

    return Case(name=name, kind=DOCUMENT, says=says, respond=make)


def answer(name: str, says: str, reply: Callable[[HandmadeImage, Asked], Reply | None]) -> Case:
    """Return a case in which `reply` stands before the proper answers."""

    def make() -> Respond:
        image = plain()

        def respond(asked: Asked) -> Reply:
            return reply(image, asked) or image.respond(asked)

        return respond

    return Case(name=name, kind=TRANSPORT, says=says, respond=make)


def plain() -> HandmadeImage:
    return HandmadeImage(archive((tarfile.TarInfo("file"), bytes(range(256)) * 40)))


def whiteout(name: bytes) -> bytes:
    return member(name)


def bomb(size: int, begin: bytes = b"") -> bytes:
    """Return gzip members of `begin` and so many zeros, made without them all."""
    piece = gzip.compress(bytes(64 * _MEGABYTES), 9, mtime=0)
    return gzip.compress(begin, mtime=0) + piece * (size // (64 * _MEGABYTES))


def sparse(size: int) -> bytes:
    """Return a PAX sparse file that claims `size` bytes and has none."""
    records = {
        b"GNU.sparse.size": b"%d" % size,
        b"GNU.sparse.numblocks": b"0",
        b"GNU.sparse.map": b"",
    }
    return pax(records) + header(b"sparse")


def many(count: int) -> bytes:
    return b"".join(header(b"f/%07d" % number) for number in range(count))


def manifest_with(**changes: Any) -> Callable[[HandmadeImage], None]:
    def change(image: HandmadeImage) -> None:
        image.manifest = json.dumps(json.loads(image.manifest) | changes).encode()

    return change


def layer_with(**fields: Any) -> Callable[[HandmadeImage], None]:
    def change(image: HandmadeImage) -> None:
        document = json.loads(image.manifest)
        document["layers"][0] |= fields
        image.manifest = json.dumps(document).encode()

    return change


def manifest_is(data: bytes) -> Callable[[HandmadeImage], None]:
    """Return a change that makes these bytes the manifest, under its proper type."""

    def change(image: HandmadeImage) -> None:
        image.respond = lambda asked: (  # type: ignore[method-assign]
            Reply(headers={"Content-Type": MANIFEST}, body=data)
            if "/manifests/" in asked.path
            else HandmadeImage.unknown("BLOB_UNKNOWN")
        )

    return change


def config_is(data: bytes) -> Callable[[HandmadeImage], None]:
    def change(image: HandmadeImage) -> None:
        document = json.loads(image.manifest)
        document["config"] |= {"digest": digest(data), "size": len(data)}
        image.manifest = json.dumps(document).encode()
        image.blobs[digest(data)] = data

    return change


def index_loop(image: HandmadeImage) -> None:
    """Make every manifest an index that names the next: none ends."""
    chain: list[bytes] = [image.manifest]
    for _ in range(8):
        entry = {
            "mediaType": INDEX if len(chain) > 1 else MANIFEST,
            "digest": digest(chain[-1]),
            "size": len(chain[-1]),
            "platform": {"os": "linux", "architecture": "amd64"},
        }
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        chain.append(json.dumps(index).encode())
    by_digest = {digest(data): data for data in chain}

    def respond(asked: Asked) -> Reply:
        data = by_digest.get(asked.path.rpartition("/")[2], chain[-1])
        return Reply(headers={"Content-Type": json.loads(data)["mediaType"]}, body=data)

    image.respond = respond  # type: ignore[method-assign]


def at(part: str, reply: Callable[[HandmadeImage, Asked], Reply]) -> Any:
    """Return what answers requests whose path contains `part`."""
    return lambda image, asked: reply(image, asked) if part in asked.path else None


def is_config(image: HandmadeImage, asked: Asked) -> bool:
    return asked.path.endswith(digest(image.config))


def altered(image: HandmadeImage, asked: Asked) -> Reply:
    proper = image.respond(asked)
    body = proper.body if is_config(image, asked) else proper.body[:-1] + b"!"
    return Reply(status=proper.status, headers=proper.headers, body=body)


def longer(image: HandmadeImage, asked: Asked) -> Reply:
    proper = image.respond(asked)
    body = proper.body if is_config(image, asked) else proper.body + bytes(1 << 20)
    return Reply(status=proper.status, headers=proper.headers, body=body)


def only_config(image: HandmadeImage, asked: Asked) -> Reply:
    return image.respond(asked) if is_config(image, asked) else image.unknown("BLOB_UNKNOWN")
