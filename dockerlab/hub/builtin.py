"""The built-in images, made on the spot from nothing but this package.

Not a general image builder: one program, one layer, one index for two processors. Every byte is a
function of this file, so the digests are the same on every machine; see image-spec/image-index.md,
manifest.md, config.md and layer.md.
"""

import io
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dockerlab.hub.elf import hello_elf
from dockerlab.oci.descriptor import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
)
from dockerlab.oci.digest import Digest, digest_of
from dockerlab.oci.imageconfig import History, ImageConfig, RootFS, RunConfig
from dockerlab.oci.manifest import Index, Manifest
from dockerlab.oci.platform import Platform

__all__ = [
    "CREATED",
    "CREATED_S",
    "BuiltinImage",
    "BuiltinRepositories",
    "assemble",
    "builtin_images",
    "hello_message",
    "make_hello_world",
]

_TAG = "latest"
# The time of everything in an image of ours, for the time of making would be in the digest.
CREATED = "2026-11-24T00:00:00Z"
CREATED_S = 1795478400
_PLATFORMS = (
    Platform(os="linux", architecture="amd64"),
    Platform(os="linux", architecture="arm64", variant="v8"),
)
_LABELS = {
    "dockerlab.source": "hub",
    "org.opencontainers.image.title": "hello-world",
    "org.opencontainers.image.description": "dockerlab's built-in hello-world",
}
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MESSAGE = """\
Hello from dockerlab!
These lines come from a program in a container: every part of the engine has done its work.

What happened, step by step:
  1. Your client (a notebook cell, or a command) contacted the engine and asked for a container.
  2. The engine looked for the image "hello-world" in its local cache. On a first run it is not
     there, and the engine pulls it: it asks a registry which variants there are, takes the one
     for this machine ({platform}) and keeps it. On later runs this step is only the look.
  3. The engine created a container from the image: a root file system with one file, /hello,
     and namespaces in which that program is the only process.
  4. The container started, /hello wrote this text, and the engine streamed it to your client.
  5. The program ended, and with it the container, with status 0. The image stays in the cache.

Run it again and compare the times: this time nothing has to be pulled.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinImage:
    """An index with everything that it names.

    Parameters
    ----------
    index : Descriptor
        What the tag `latest` points to.
    manifests : Mapping[Digest, Descriptor]
        The index and the manifests in it, by digest.
    blobs : Mapping[Digest, bytes]
        The bytes of all of them, of the configs and of the layers.
    """

    index: Descriptor
    manifests: Mapping[Digest, Descriptor]
    blobs: Mapping[Digest, bytes]


class BuiltinRepositories:
    """The built-in images as `hub.server.Repositories`; their only tag is `latest`.

    Parameters
    ----------
    images : Mapping[str, BuiltinImage] or None
        By repository; None takes `builtin_images`.
    """

    def __init__(self, images: Mapping[str, BuiltinImage] | None = None) -> None:
        self._images = dict(builtin_images() if images is None else images)

    def names(self) -> list[str]:
        """Return the names of all repositories."""
        return list(self._images)

    def tags(self, name: str) -> list[str]:
        """Return the tags of a repository; none when there is no such repository."""
        return [_TAG] if name in self._images else []

    async def manifest(self, name: str, reference: str) -> Descriptor | None:
        """Describe the manifest or index of a tag or a digest."""
        image = self._images.get(name)
        if image is None:
            return None
        return image.index if reference == _TAG else image.manifests.get(Digest(reference))

    def content(self, name: str, digest: Digest) -> bytes | None:
        """Return a manifest's or a blob's bytes."""
        image = self._images.get(name)
        return image.blobs.get(digest) if image else None


def builtin_images() -> dict[str, BuiltinImage]:
    """Return the built-in images by repository.

    Each is there under its short name and under Docker Hub's, so that the hub serves as a mirror of
    Docker Hub too.
    """
    hello = make_hello_world()
    return {"hello-world": hello, "library/hello-world": hello}


def hello_message(platform: Platform) -> str:
    """Return the text that hello-world prints on `platform`."""
    return _MESSAGE.format(platform=f"{platform.os}/{platform.architecture}")


def make_hello_world() -> BuiltinImage:
    """Make the hello-world image for every platform that `elf` can write for."""
    blobs: dict[Digest, bytes] = {}
    return assemble([_hello_for(platform, blobs) for platform in _PLATFORMS], blobs)


def assemble(
    images: Sequence[tuple[Platform, ImageConfig, Descriptor]], blobs: dict[Digest, bytes]
) -> BuiltinImage:
    """Describe images of one layer each, one a platform, by an index.

    Parameters
    ----------
    images : sequence of tuple
        Platform, config and layer of each.
    blobs : dict
        Bytes by digest; those of the documents are put in.
    """
    manifests = []
    for platform, config, layer in images:
        manifest = Manifest(
            schema_version=2,
            media_type=OCI_MANIFEST,
            config=_add(blobs, OCI_CONFIG, _encode_config(config)),
            layers=(layer,),
        )
        described = _add(blobs, OCI_MANIFEST, msgspec.json.encode(manifest))
        manifests.append(msgspec.structs.replace(described, platform=platform))
    index = Index(schema_version=2, media_type=OCI_INDEX, manifests=tuple(manifests))
    described = _add(blobs, OCI_INDEX, msgspec.json.encode(index))
    return BuiltinImage(
        index=described,
        manifests={descriptor.digest: descriptor for descriptor in (described, *manifests)},
        blobs=blobs,
    )


def _hello_for(
    platform: Platform, blobs: dict[Digest, bytes]
) -> tuple[Platform, ImageConfig, Descriptor]:
    program = hello_elf(platform.architecture, hello_message(platform).encode())
    tar = _tar_of("hello", program)
    config = ImageConfig(
        architecture=platform.architecture,
        variant=platform.variant or None,
        created=CREATED,
        config=RunConfig(env=(_PATH,), cmd=("/hello",), working_dir="/", labels=_LABELS),
        rootfs=RootFS(diff_ids=(digest_of(tar),)),
        history=(
            History(created=CREATED, created_by="COPY hello / # dockerlab"),
            History(created=CREATED, created_by='CMD ["/hello"]', empty_layer=True),
        ),
    )
    return platform, config, _add(blobs, OCI_LAYER_GZIP, _gzip_stored(tar))


def _encode_config(config: ImageConfig) -> bytes:
    # `os` and `rootfs` are required by image-spec/config.md, also where they equal our defaults.
    document = msgspec.to_builtins(config)
    document["os"] = config.os
    document["rootfs"] = {"type": config.rootfs.type, "diff_ids": list(config.rootfs.diff_ids)}
    return msgspec.json.encode(document)


def _add(blobs: dict[Digest, bytes], media_type: str, data: bytes) -> Descriptor:
    digest = digest_of(data)
    blobs[digest] = data
    return Descriptor(media_type=media_type, digest=digest, size=len(data))


def _tar_of(name: str, program: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = len(program)
    member.mode = 0o755
    member.mtime = CREATED_S
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(program))
    return buffer.getvalue()


def _gzip_stored(data: bytes) -> bytes:
    """Wrap `data` in gzip without compressing it (RFC 1952, RFC 1951 section 3.2.4).

    zlib, zlib-ng and their versions compress to different bytes; a stored block is the same with
    all of them, and ten kilobytes need no compression.
    """
    length = len(data)
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # deflate, no flags, mtime 0, unknown system
    block = b"\x01" + struct.pack("<HH", length, length ^ 0xFFFF)
    return header + block + data + struct.pack("<II", zlib.crc32(data), length)
