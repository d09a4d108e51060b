"""What a probe makes of a container's health."""

from datetime import UTC, datetime

from dockerlab.engine.container import HealthCheck
from dockerlab.engine.health import Health, ProbeResult
from dockerlab.engine.healthchecks import after_probe, probe_command

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _after(health: Health, *codes: int, is_grace: bool = False) -> Health:
    for code in codes:
        result = ProbeResult(start=NOW, end=NOW, exit_code=code, output=str(code))
        health = after_probe(health, result, retries=3, is_grace=is_grace)
    return health


def test_one_success_is_healthy_and_failures_in_a_row_are_unhealthy() -> None:
    healthy = _after(Health(), 0)
    assert (healthy.status, healthy.failing_streak) == ("healthy", 0)
    assert _after(healthy, 1, 1).status == "healthy"
    assert _after(healthy, 1, 1, -1).status == "unhealthy"
    assert _after(healthy, 1, 1, 0, 1, 1).status == "healthy"
    assert _after(healthy, 1, 1, 1, 0).status == "healthy"


def test_failures_count_in_the_start_period_only_after_a_success() -> None:
    assert _after(Health(), 1, 1, 1, 1, is_grace=True) == Health(
        log=_after(Health(), 1, 1, 1, 1).log
    )
    assert _after(Health(), 0, 1, 1, 1, is_grace=True).status == "unhealthy"


def test_the_log_keeps_the_last_five() -> None:
    assert [each.exit_code for each in _after(Health(), *range(7)).log] == [2, 3, 4, 5, 6]


def test_the_command_of_a_probe() -> None:
    shell = HealthCheck(test=("CMD-SHELL", "a | b"))
    assert probe_command(shell, ()) == ("/bin/sh", "-c", "a | b")
    assert probe_command(shell, ("/bin/ash", "-eo", "pipefail", "-c"))[-2:] == ("-c", "a | b")
    assert probe_command(HealthCheck(test=("CMD", "a", "b c")), ()) == ("a", "b c")
    assert probe_command(HealthCheck(test=("NONE",)), ()) == ()
    assert probe_command(HealthCheck(interval_ns=5), ()) == ()
    assert probe_command(None, ()) == ()
