"""The keeper of health checks: probes run as execs while their container does.

A probe's time limit is its monitor's to keep, so
that none outlasts a killed daemon; the next daemon goes on with what was known.
"""

import asyncio
import logging
from datetime import UTC, datetime

import msgspec

from dockerlab.engine.container import Container, ContainerId, HealthCheck
from dockerlab.engine.events import Events
from dockerlab.engine.exec import ExecConfig
from dockerlab.engine.execs import Execs, Outcome
from dockerlab.engine.health import Health, ProbeResult
from dockerlab.engine.lives import Lives
from dockerlab.engine.roster import Roster
from dockerlab.engine.task import Task
from dockerlab.errors import DockerlabError

__all__ = ["HealthChecks", "after_probe", "probe_command"]

_log = logging.getLogger("dockerlab.engine")

# Engine API, HealthConfig: what 0 means.
_INTERVAL_S = 30.0
_TIMEOUT_S = 30.0
_START_INTERVAL_S = 5.0
_RETRIES = 3

_LOG_LENGTH = 5
_OUTPUT_BYTES = 4096
_DEFAULT_SHELL = ("/bin/sh", "-c")
# Docker's for a probe that did not end by itself, or never began.
_NO_EXIT = -1


def probe_command(check: HealthCheck | None, shell: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a probe executes; nothing where there is no check.

    Examples
    --------
    >>> probe_command(HealthCheck(test=("CMD-SHELL", "exit 0")), ())
    ('/bin/sh', '-c', 'exit 0')
    """
    kind, *words = check.test if check and check.test else ("NONE",)
    if kind == "CMD-SHELL":
        return (*(shell or _DEFAULT_SHELL), *words)
    return tuple(words) if kind == "CMD" else ()


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


class HealthChecks:
    """One loop a container that has a check. A `LifeObserver`."""

    def __init__(self, execs: Execs, lives: Lives, roster: Roster, events: Events) -> None:
        self._execs = execs
        self._lives = lives
        self._roster = roster
        self._events = events
        self._loops: dict[ContainerId, asyncio.Task[None]] = {}

    def running(self, container: Container, task: Task) -> None:
        """Begin to probe: from the beginning, or where an earlier engine was."""
        argv = probe_command(container.config.healthcheck, container.config.shell)
        if not argv:
            return
        known = container.state.health
        if known is None or task.earlier is None:
            self._save(container.id, Health(log=known.log if known else ()))
        loop = self._lives.in_background(self._probe_on(container.id, argv))
        self._loops[container.id] = loop

    def ended(self, container: Container) -> None:
        """Stop to probe; what does not run is unhealthy, as in dockerd."""
        loop = self._loops.pop(container.id, None)
        if loop is not None:
            loop.cancel()
        if container.state.health is not None:
            health = msgspec.structs.replace(container.state.health, status="unhealthy")
            self._save(container.id, health)

    def gone(self, container: Container) -> None:
        """Do nothing: it has ended."""

    def removed(self, container_id: ContainerId) -> None:
        """Do nothing: it has ended."""

    async def _probe_on(self, container_id: ContainerId, argv: tuple[str, ...]) -> None:
        while True:
            await asyncio.sleep(_pause_s(self._roster.get(container_id)))
            if self._roster.get(container_id).state.status == "running":
                result = await self._probe(container_id, argv)
                self._note(container_id, result)

    async def _probe(self, container_id: ContainerId, argv: tuple[str, ...]) -> ProbeResult:
        check = self._roster.get(container_id).config.healthcheck or HealthCheck()
        timeout_s = check.timeout_ns / 1e9 or _TIMEOUT_S
        config = ExecConfig(argv=argv, attach_stdout=True, attach_stderr=True)
        begin = datetime.now(UTC)
        try:
            outcome = await self._execs.run(
                container_id, config, timeout_s=timeout_s, limit_bytes=_OUTPUT_BYTES
            )
        except DockerlabError as exc:
            outcome = Outcome(_NO_EXIT, exc.message.encode())
        exit_code, output = outcome.exit_code, outcome.output.decode("utf-8", "replace")
        if outcome.is_timed_out:
            exit_code, output = _NO_EXIT, f"Health check exceeded timeout ({timeout_s:g}s)"
        elif outcome.is_cut:
            output += "..."
        return ProbeResult(start=begin, end=datetime.now(UTC), exit_code=exit_code, output=output)

    def _note(self, container_id: ContainerId, result: ProbeResult) -> None:
        container = self._roster.get(container_id)
        before = container.state.health or Health()
        check = container.config.healthcheck or HealthCheck()
        health = after_probe(
            before,
            result,
            retries=check.retries or _RETRIES,
            is_grace=_is_grace(container, result.start),
        )
        container = self._save(container_id, health)
        if health.status != before.status:
            self._events.of_container(container, f"health_status: {health.status}")
            _log.info("container %s is %s", container_id[:12], health.status)

    def _save(self, container_id: ContainerId, health: Health) -> Container:
        state = self._roster.get(container_id).state
        return self._lives.save_state(container_id, msgspec.structs.replace(state, health=health))


def _is_grace(container: Container, moment: datetime) -> bool:
    check = container.config.healthcheck or HealthCheck()
    age_s = (moment - container.state.started_at).total_seconds()
    return age_s < check.start_period_ns / 1e9


def _pause_s(container: Container) -> float:
    """Return the time from one probe's end to the next one's beginning."""
    check = container.config.healthcheck or HealthCheck()
    health = container.state.health or Health()
    if health.status == "starting" and _is_grace(container, datetime.now(UTC)):
        return check.start_interval_ns / 1e9 or _START_INTERVAL_S
    return check.interval_ns / 1e9 or _INTERVAL_S
