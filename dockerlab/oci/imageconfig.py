"""The image config: how an image wants to be run, and the diffIDs of its layers.

See image-spec/config.md. The digest of its bytes is the image id.
"""

import msgspec

from dockerlab.errors import BadDigest, InvalidArgument
from dockerlab.oci.digest import Digest, parse_digest

__all__ = ["MAX_CONFIG_BYTES", "History", "ImageConfig", "RunConfig", "parse_image_config"]

MAX_CONFIG_BYTES = 8 << 20


class ImageHealthCheck(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"
):
    """How Docker's builder notes HEALTHCHECK, beyond image-spec; times are nanoseconds."""

    test: tuple[str, ...] | None = None
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    retries: int | None = None


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """The defaults of a container made from the image. None and missing mean the same."""

    user: str | None = None
    exposed_ports: dict[str, dict[str, str]] | None = None
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: dict[str, dict[str, str]] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None
    healthcheck: ImageHealthCheck | None = None
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] | None = None


class RootFS(msgspec.Struct, frozen=True, kw_only=True):
    """The diffIDs of the layers, lowest first."""

    type: str = "layers"
    diff_ids: tuple[Digest, ...] = ()


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one layer, or one line of metadata, came to be."""

    created: str | None = None
    created_by: str | None = None
    author: str | None = None
    comment: str | None = None
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The whole document. `created` is RFC 3339, as it was written."""

    architecture: str = ""
    os: str = "linux"
    variant: str | None = None
    created: str | None = None
    author: str | None = None
    config: RunConfig | None = None
    rootfs: RootFS = RootFS()
    history: tuple[History, ...] | None = None
    docker_version: str | None = None


def parse_image_config(data: bytes, name: str) -> ImageConfig:
    """Parse the bytes of an image config.

    Raises
    ------
    InvalidArgument
        Too large, not JSON of that shape, or a diffID that is no digest.
    """
    if len(data) > MAX_CONFIG_BYTES:
        raise InvalidArgument(f'the config of "{name}" is larger than {MAX_CONFIG_BYTES} bytes')
    try:
        config = msgspec.json.decode(data, type=ImageConfig)
        for diff_id in config.rootfs.diff_ids:
            parse_digest(diff_id)
    except (msgspec.MsgspecError, BadDigest, RecursionError) as exc:
        raise InvalidArgument(f'the config of "{name}" is not valid: {exc}') from exc
    return config
