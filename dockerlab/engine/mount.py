"""The record of a mount: what of the host or of a volume a container sees, where, and how.

The list of a container's mounts is data: a spec is made from it, and so may be whatever else a tier
needs. What clients write is read by `daemon.shapes.storage`; what becomes of it is `engine.mounts`.
"""

from typing import Literal

import msgspec

__all__ = ["Mount", "MountKind"]

MountKind = Literal["bind", "volume", "tmpfs"]


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One mount of a container.

    `source` is the host's path of a bind, the name of a volume ('' until it got one), nothing for a
    tmpfs. `mode` is what stood behind the second colon of ``-v``, for `docker inspect`.
    `propagation` is one word of mount(8), '' for the default. With `makes_source` a missing host
    folder is made, as ``-v`` does and ``--mount`` does not. `driver`, `options` and `labels` are
    those of a volume that has to be made; sizes are bytes, 0 is no limit.
    """

    kind: MountKind
    destination: str
    source: str = ""
    mode: str = ""
    is_read_only: bool = False
    is_recursive: bool = True
    propagation: str = ""
    makes_source: bool = False
    is_copied_up: bool = True
    is_anonymous: bool = False
    driver: str = ""
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    size_bytes: int = 0
    file_mode: int = 0o1777
