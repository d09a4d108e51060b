"""The record of a volume: a folder that outlives the containers that use it."""

import re
from datetime import datetime

import msgspec

from dockerlab.errors import InvalidArgument

__all__ = ["DRIVER", "Volume", "VolumePrune", "check_volume_name"]

# The one driver there is.
DRIVER = "local"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)
_MAX_NAME = 200  # NAME_MAX of limits.h, less what the trash puts before it


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """One volume. `options` are the driver's: ``type``, ``device``, ``o``; `path` is its data."""

    name: str
    created_at: datetime
    path: str
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    is_anonymous: bool = False


class VolumePrune(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune has deleted."""

    names: tuple[str, ...]
    freed_bytes: int


def check_volume_name(name: str) -> str:
    """Return the name, or raise InvalidArgument when it is outside the grammar of names."""
    if len(name) == 1:
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric"
            " characters"
        )
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only'
            ' "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory,'
            " use absolute path"
        )
    return name
