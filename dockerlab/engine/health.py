"""The health of a container: the record, and what one more probe makes of it. Pure.

Engine API, Health and HealthcheckResult. Who probes, and when, is `engine.healthchecks`.
"""

from datetime import datetime
from typing import Literal

import msgspec

__all__ = ["Health", "HealthStatus", "ProbeResult", "after_probe"]

HealthStatus = Literal["starting", "healthy", "unhealthy"]

_LOG_LENGTH = 5


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


def after_probe(health: Health, result: ProbeResult, *, retries: int, is_grace: bool) -> Health:
    """Return the health after one more probe.

    Parameters
    ----------
    retries : int
        Failures in a row that make it unhealthy.
    is_grace : bool
        The probe began within the start period, in which a failure does not count as long as
        nothing has succeeded.
    """
    status, streak = health.status, health.failing_streak
    if result.exit_code == 0:
        status, streak = "healthy", 0
    elif not (status == "starting" and is_grace):
        streak += 1
        status = "unhealthy" if streak >= retries else status
    log = (*health.log, result)[-_LOG_LENGTH:]
    return Health(status=status, failing_streak=streak, log=log)
