"""Restart policies and health checks, from a client's JSON and back."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dockerlab.daemon.shapes.policies import (
    health_check,
    health_check_shape,
    health_shape,
    policy_shape,
    restart_policy,
)
from dockerlab.engine.container import HealthCheck, RestartPolicy
from dockerlab.engine.health import Health, ProbeResult
from dockerlab.errors import InvalidArgument

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("nothing", [None, {}, {"Name": ""}, {"Name": "no"}, {"Name": None}])
def test_nothing_is_the_policy_no(nothing: dict[str, Any] | None) -> None:
    assert restart_policy(nothing, auto_remove=True) == RestartPolicy()


def test_a_policy_comes_back_as_it_was_sent() -> None:
    sent = {"Name": "on-failure", "MaximumRetryCount": 3}
    assert policy_shape(restart_policy(sent, auto_remove=False)) == sent


@pytest.mark.parametrize(
    ("sent", "auto_remove", "reason"),
    [
        ({"Name": "never"}, False, "unknown policy 'never'; use one of"),
        ({"Name": "always", "MaximumRetryCount": 1}, False, "only be used with 'on-failure'"),
        ({"Name": "on-failure", "MaximumRetryCount": -1}, False, "cannot be negative"),
        ({"Name": "always"}, True, "can't create 'AutoRemove' container with restart policy"),
        ({"Name": 7}, False, "invalid restart policy"),
        ({"Name": "on-failure", "MaximumRetryCount": 1 << 70}, False, "invalid restart policy"),
    ],
)
def test_impossible_policies_are_refused(
    sent: dict[str, Any], reason: str, *, auto_remove: bool
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        restart_policy(sent, auto_remove=auto_remove)
    assert reason in refused.value.message


def test_a_health_check_comes_back_as_it_was_sent() -> None:
    sent = {"Test": ["CMD", "true"], "Interval": 10**9, "Timeout": 10**6, "Retries": 2}
    check = health_check(sent)
    assert check == HealthCheck(
        test=("CMD", "true"), interval_ns=10**9, timeout_ns=10**6, retries=2
    )
    assert health_check_shape(check) == sent
    assert health_check(None) is None
    assert health_check({"Test": ["NONE"]}) == HealthCheck(test=("NONE",))


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"Test": ["SHELL", "x"]}, 'Unknown healthcheck type "SHELL"'),
        ({"Interval": 5}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"StartPeriod": -1}, "StartPeriod in Healthcheck cannot be less than 1ms"),
        ({"Retries": -1}, "Retries in Healthcheck cannot be negative"),
        ({"Test": "true"}, "invalid Healthcheck"),
        ({"Test": ["CMD", "a\0b"]}, "NUL"),
    ],
)
def test_impossible_health_checks_are_refused(sent: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        health_check(sent)
    assert reason in refused.value.message


def test_health_is_shown_as_docker_shows_it() -> None:
    probe = ProbeResult(start=NOW, end=NOW, exit_code=1, output="no")
    assert health_shape(Health(status="unhealthy", failing_streak=4, log=(probe,))) == {
        "Status": "unhealthy",
        "FailingStreak": 4,
        "Log": [
            {
                "Start": "2026-01-31T12:00:00Z",
                "End": "2026-01-31T12:00:00Z",
                "ExitCode": 1,
                "Output": "no",
            }
        ],
    }
