"""A client's restart policy and health check as records, and back.

Engine API, RestartPolicy and HealthConfig. The refusals are dockerd's, in its words.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dockerlab.daemon.shapes.moment import rfc3339
from dockerlab.engine.container import HealthCheck, RestartName, RestartPolicy
from dockerlab.engine.health import Health
from dockerlab.errors import InvalidArgument

__all__ = ["health_check", "health_check_shape", "health_shape", "policy_shape", "restart_policy"]

Json = dict[str, Any]

# Shorter would be a probe without a pause (moby, verifyContainerConfig).
_LEAST_NS = 1_000_000
_INT64 = 1 << 63


class RestartBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """A client's ``RestartPolicy``."""

    name: str | None = None
    maximum_retry_count: int | None = None


class HealthBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """A client's ``Healthcheck``; times are nanoseconds."""

    test: list[str] | None = None
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    retries: int | None = None


def restart_policy(raw: Mapping[str, Any] | None, *, auto_remove: bool) -> RestartPolicy:
    """Turn a client's ``RestartPolicy`` into a record.

    Raises
    ------
    InvalidArgument
        An unknown policy, a count where none belongs, or one together with ``--rm``.
    """
    try:
        body = msgspec.convert(raw or {}, RestartBody)
    except msgspec.ValidationError as exc:
        raise InvalidArgument(f"invalid restart policy: {exc}") from exc
    try:
        name: RestartName = msgspec.convert(body.name or "no", RestartName)
    except msgspec.ValidationError as exc:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{(body.name or '')[:40]}'; use one of 'no', "
            "'always', 'on-failure', or 'unless-stopped'"
        ) from exc
    count = body.maximum_retry_count or 0
    if count and name != "on-failure":
        raise InvalidArgument(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    if not 0 <= count < _INT64:
        raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")
    if auto_remove and name != "no":
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    return RestartPolicy(name=name, maximum_retry_count=count)


def policy_shape(policy: RestartPolicy) -> Json:
    """Return the policy as ``inspect`` shows it."""
    return {"Name": policy.name, "MaximumRetryCount": policy.maximum_retry_count}


def health_check(raw: Mapping[str, Any] | None) -> HealthCheck | None:
    """Turn a client's ``Healthcheck`` into a record; None when nothing was said.

    Raises
    ------
    InvalidArgument
        An unknown kind of test, a time under a millisecond, or a negative count.
    """
    if not raw:
        return None
    try:
        body = msgspec.convert(raw, HealthBody)
    except msgspec.ValidationError as exc:
        raise InvalidArgument(f"invalid Healthcheck: {exc}") from exc
    test = tuple(body.test or ())
    if test and test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(f'Unknown healthcheck type "{test[0][:40]}"')
    if any("\0" in word for word in test):
        raise InvalidArgument("the health check holds a NUL character")
    if not 0 <= (body.retries or 0) < _INT64:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")
    return HealthCheck(
        test=test,
        interval_ns=_duration("Interval", body.interval),
        timeout_ns=_duration("Timeout", body.timeout),
        start_period_ns=_duration("StartPeriod", body.start_period),
        start_interval_ns=_duration("StartInterval", body.start_interval),
        retries=body.retries or 0,
    )


def _duration(key: str, value: int | None) -> int:
    if value and not _LEAST_NS <= value < _INT64:
        raise InvalidArgument(f"{key} in Healthcheck cannot be less than 1ms")
    return value or 0


def health_check_shape(check: HealthCheck) -> Json:
    """Return the check as ``inspect`` shows it: without what was not said."""
    shape = {
        "Test": list(check.test),
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
        "Retries": check.retries,
    }
    return {key: value for key, value in shape.items() if value}


def health_shape(health: Health) -> Json:
    """Return the health as ``inspect`` shows it."""
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": rfc3339(result.start),
                "End": rfc3339(result.end),
                "ExitCode": result.exit_code,
                "Output": result.output,
            }
            for result in health.log
        ],
    }
