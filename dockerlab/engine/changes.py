"""The record of what a client wants changed of a container."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Changes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a client wants changed; what is not in `limits` stays.

    `limits` has fields of `HostConfig`, and a `restart_name` of '' leaves the policy as it is.
    """

    limits: dict[str, Any] = field(default_factory=dict)
    restart_name: str = ""
    restart_count: int = 0
