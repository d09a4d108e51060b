"""Make an image of a plan: one layer, written to a folder, and the documents that describe it.

Every byte is a function of the plan and of the files that it names: entries are sorted, all belong
to root, times are fixed (image-spec/layer.md, config.md). The same files give the same digest.
"""

import gzip
import hashlib
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Protocol

from dockerlab.errors import EngineFailure
from dockerlab.hub.builtin import CREATED, CREATED_S, BuiltinImage, assemble
from dockerlab.hub.fromhost import IMAGE_PATH, RootPlan
from dockerlab.hub.hosttree import Entry
from dockerlab.oci.descriptor import OCI_LAYER_GZIP, Descriptor
from dockerlab.oci.digest import Digest
from dockerlab.oci.imageconfig import History, ImageConfig, RootFS, RunConfig
from dockerlab.oci.platform import host_platform

__all__ = ["StoredImage", "pack"]

# Zlib's own default; more costs seconds and gives a percent.
_LEVEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image with its documents in memory and its layer in a file.

    Parameters
    ----------
    image : BuiltinImage
        The index and everything but the layer.
    layer : Path
        The layer's file.
    layer_digest : Digest
        Of that file.
    size_bytes, unpacked_bytes : int
        Of the layer's file; of the archive in it.
    """

    image: BuiltinImage
    layer: Path
    layer_digest: Digest
    size_bytes: int
    unpacked_bytes: int

    def content(self, digest: Digest) -> bytes | None:
        """Return the bytes of a document or of the layer."""
        if digest == self.layer_digest:
            return self.layer.read_bytes()
        return self.image.blobs.get(digest)


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int:
        """Take bytes."""
        ...


@dataclass(slots=True)
class _Counted:
    """A file that is only written to, with the digest and the number of the bytes."""

    file: _Sink
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    count: int = 0

    def write(self, data: bytes, /) -> int:
        """Pass bytes on."""
        self.digest.update(data)
        self.count += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        """Do nothing: the file below is flushed when it is closed."""

    def named(self) -> Digest:
        """Return the digest in its full form."""
        return Digest(f"sha256:{self.digest.hexdigest()}")


def pack(root: RootPlan, folder: Path, *, labels: Mapping[str, str], made_by: str) -> StoredImage:
    """Write the layer into `folder`, under its digest, and describe it as an image for this host.

    Raises
    ------
    EngineFailure
        A file of the plan cannot be read any more, or the folder cannot be written.
    """
    temporary = folder / f"layer-{os.getpid()}.tmp"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        compressed, archive = _write_layer(root, temporary)
        layer = temporary.rename(folder / compressed.named().removeprefix("sha256:"))
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise EngineFailure(f"cannot make an image of this machine's files: {exc}") from exc
    environment = [f"PATH={IMAGE_PATH}"]
    if root.library_folders:
        environment.append(f"LD_LIBRARY_PATH={':'.join(root.library_folders)}")
    platform = host_platform()
    config = ImageConfig(
        architecture=platform.architecture,
        created=CREATED,
        config=RunConfig(
            env=tuple(environment),
            cmd=(root.command,),
            working_dir="/",
            labels={"dockerlab.source": "hub", **labels},
        ),
        rootfs=RootFS(diff_ids=(archive.named(),)),
        history=(
            History(created=CREATED, created_by=made_by),
            History(created=CREATED, created_by=f'CMD ["{root.command}"]', empty_layer=True),
        ),
    )
    described = Descriptor(
        media_type=OCI_LAYER_GZIP, digest=compressed.named(), size=compressed.count
    )
    return StoredImage(
        image=assemble([(platform, config, described)], {}),
        layer=layer,
        layer_digest=described.digest,
        size_bytes=compressed.count,
        unpacked_bytes=archive.count,
    )


def _write_layer(root: RootPlan, path: Path) -> tuple[_Counted, _Counted]:
    with path.open("wb") as file:
        compressed = _Counted(file)
        # No name and no time in the header: they would be in the digest.
        with gzip.GzipFile("", "wb", _LEVEL, compressed, mtime=0) as stream:
            archive = _Counted(stream)
            with tarfile.open(fileobj=archive, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
                for name, entry in root.tree.entries():
                    _add(tar, name, entry)
    return compressed, archive


def _add(tar: tarfile.TarFile, path: str, entry: Entry) -> None:
    member = tarfile.TarInfo(path.lstrip("/"))
    member.mode = entry.mode
    member.mtime = CREATED_S
    if entry.target:
        member.type = tarfile.SYMTYPE
        member.linkname = entry.target
        tar.addfile(member)
    elif entry.data is not None:
        member.size = len(entry.data)
        tar.addfile(member, BytesIO(entry.data))
    elif entry.source is not None:
        with entry.source.open("rb") as file:
            member.size = os.fstat(file.fileno()).st_size
            tar.addfile(member, file)
    else:
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
