"""Volume records as the API shows them, and a client's JSON for a new one."""

from typing import Any

import msgspec

from dockerlab.daemon.shapes.moment import rfc3339
from dockerlab.engine.volume import DRIVER, Volume

__all__ = ["CreateBody", "volume"]

# What dockerd gives a volume that nobody named.
_ANONYMOUS_LABEL = "com.docker.volume.anonymous"


class CreateBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The body of ``POST /volumes/create``."""

    name: str | None = None
    driver: str | None = None
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: dict[str, Any] | None = None


def volume(record: Volume) -> dict[str, Any]:
    """Return a volume (Engine API, Volume)."""
    labels = {**record.labels, **({_ANONYMOUS_LABEL: ""} if record.is_anonymous else {})}
    return {
        "CreatedAt": rfc3339(record.created_at),
        "Driver": DRIVER,
        "Labels": labels or None,
        "Mountpoint": record.path,
        "Name": record.name,
        "Options": record.options or None,
        "Scope": "local",
    }
