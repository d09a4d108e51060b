"""The record of an image in the local store, and what operations on images report."""

from datetime import datetime
from typing import Literal

import msgspec

from dockerlab.engine.container import ContainerConfig
from dockerlab.image.progress import PullProgress
from dockerlab.oci.digest import Digest
from dockerlab.oci.imageconfig import ImageConfig

__all__ = [
    "CommitRequest",
    "Image",
    "ImageHistory",
    "ImageLayer",
    "ImageLayers",
    "ImagePrune",
    "ImageRemoval",
    "ImportRequest",
    "PullProgress",
    "WastedPath",
]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One image. Sizes in bytes.

    `tags` are familiar references (``hello-world:latest``), `digests` likewise
    (``hello-world@sha256:…``); both may be empty (a dangling image). `size_bytes` is the sum of its
    unpacked layers. `parent` is the id of the image that a build made it of, '' where none did.
    `labels` are those of its config plus ours (``dockerlab.source``).
    """

    id: Digest
    created_at: datetime
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size_bytes: int
    config: ImageConfig
    manifest: Digest
    labels: dict[str, str] = {}
    parent: str = ""
    pulled_at: datetime | None = None


class ImageHistory(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `docker history`, newest first. `id` is '' for a line that is no image."""

    id: str
    created_at: datetime
    created_by: str
    size_bytes: int
    comment: str
    tags: tuple[str, ...] = ()


class ImageRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that `docker rmi` did to a reference or an id."""

    action: Literal["untagged", "deleted"]
    what: str


class CommitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants of a commit.

    Parameters
    ----------
    container : str
        Name or id.
    repository, tag : str
        What the image is to be called; '' leaves it without a name.
    author, message : str
        For the history.
    changes : tuple of str
        Lines of a Dockerfile.
    pauses : bool
        Whether the container is paused meanwhile.
    config : ContainerConfig, optional
        What takes the place of the container's own, field by field.
    """

    container: str
    repository: str = ""
    tag: str = ""
    author: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    pauses: bool = True
    config: ContainerConfig | None = None


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants to be made of an archive of files; '' is what Docker does without."""

    repository: str = ""
    tag: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    platform: str = ""


class ImagePrune(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune has untagged and deleted, and the bytes of the layers that went with it."""

    removals: tuple[ImageRemoval, ...]
    freed_bytes: int


class ImageLayer(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer does to the files below it.

    `instruction` made it, as the config's history says. `added`, `changed` and `deleted` count
    files; folders are not counted. `bytes` are those of its files, `wasted_bytes` those of them
    that a later layer hides.
    """

    index: int
    diff_id: Digest
    created_at: datetime
    instruction: str
    added: int
    changed: int
    deleted: int
    bytes: int
    wasted_bytes: int


class WastedPath(msgspec.Struct, frozen=True, kw_only=True):
    """A path under which layers have bytes that a later layer hides."""

    path: str
    bytes: int


class ImageLayers(msgspec.Struct, frozen=True, kw_only=True):
    """All layers of an image, lowest first, and the paths that waste most."""

    id: Digest
    layers: tuple[ImageLayer, ...]
    wasted: tuple[WastedPath, ...]
