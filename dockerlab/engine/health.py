"""The record of a container's health.

Engine API, Health and HealthcheckResult. Who probes, and when, is `engine.healthchecks`.
"""

from datetime import datetime
from typing import Literal

import msgspec

__all__ = ["Health", "HealthStatus", "ProbeResult"]

HealthStatus = Literal["starting", "healthy", "unhealthy"]


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """One probe: `exit_code` is the program's, or -1 when it could not end by itself."""

    start: datetime
    end: datetime
    exit_code: int
    output: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What the probes have shown so far; `log` holds the last five, oldest first."""

    status: HealthStatus = "starting"
    failing_streak: int = 0
    log: tuple[ProbeResult, ...] = ()
