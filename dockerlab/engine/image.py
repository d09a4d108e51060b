"""The record of an image in the local store, and what operations on images report."""

from datetime import datetime
from typing import Literal

import msgspec

from dockerlab.image.progress import PullProgress
from dockerlab.oci.digest import Digest
from dockerlab.oci.imageconfig import ImageConfig

__all__ = ["Image", "ImageHistory", "ImagePrune", "ImageRemoval", "PullProgress"]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One image. Sizes in bytes.

    `tags` are familiar references (``hello-world:latest``), `digests` likewise
    (``hello-world@sha256:…``); both may be empty (a dangling image). `size_bytes` is the sum of its
    unpacked layers. `labels` are those of its config plus ours (``dockerlab.source``).
    """

    id: Digest
    created_at: datetime
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size_bytes: int
    config: ImageConfig
    manifest: Digest
    labels: dict[str, str] = {}
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


class ImagePrune(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune has untagged and deleted, and the bytes of the layers that went with it."""

    removals: tuple[ImageRemoval, ...]
    freed_bytes: int
