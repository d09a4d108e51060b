"""The record of an image in the local store, and what operations on images report."""

from datetime import datetime
from typing import Literal

import msgspec

from dockerlab.engine.container import ContainerConfig
from dockerlab.image.progress import PullProgress
from dockerlab.oci.digest import Digest
from dockerlab.oci.imageconfig import ImageConfig

__all__ = ["CommitRequest", "Image", "ImageHistory", "ImageRemoval", "PullProgress"]


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
