"""Who starts again, by policy: pure decisions."""

import pytest

from dockerlab.engine.container import ContainerState, HostConfig, RestartName, RestartPolicy
from dockerlab.engine.restart import next_delay_s, starts_with_engine, wants_restart
from tests.unit.engine.records import a_container


@pytest.mark.parametrize(
    ("name", "exit_code", "is_stopped", "expected"),
    [
        ("no", 1, False, False),
        ("always", 0, False, True),
        ("always", 0, True, False),
        ("unless-stopped", 1, False, True),
        ("unless-stopped", 1, True, False),
        ("on-failure", 1, False, True),
        ("on-failure", 0, False, False),
        ("on-failure", 137, True, False),
    ],
)
def test_an_end_and_a_policy_make_a_restart_or_not(
    name: RestartName, exit_code: int, *, is_stopped: bool, expected: bool
) -> None:
    policy = RestartPolicy(name=name)
    decision = wants_restart(
        policy, exit_code=exit_code, restart_count=99, is_stopped_by_user=is_stopped
    )
    assert decision is expected


def test_on_failure_counts_its_tries() -> None:
    policy = RestartPolicy(name="on-failure", maximum_retry_count=2)
    tries = [
        wants_restart(policy, exit_code=1, restart_count=count, is_stopped_by_user=False)
        for count in range(4)
    ]
    assert tries == [True, True, False, False]


def test_the_delay_doubles_to_a_minute_and_a_long_run_resets_it() -> None:
    delays = [0.0]
    for _ in range(12):
        delays.append(next_delay_s(delays[-1], ran_s=1.0))
    assert delays[1:6] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert delays[-1] == 60.0
    assert next_delay_s(60.0, ran_s=10.0) == 0.1


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("always", ContainerState(status="exited", is_stopped_by_user=True), True),
        ("always", ContainerState(status="created"), False),
        ("always", ContainerState(status="running"), False),
        ("unless-stopped", ContainerState(status="exited"), True),
        ("unless-stopped", ContainerState(status="exited", is_stopped_by_user=True), False),
        ("on-failure", ContainerState(status="exited", exit_code=1), False),
        ("no", ContainerState(status="exited"), False),
    ],
)
def test_who_starts_with_the_engine(
    name: RestartName, state: ContainerState, *, expected: bool
) -> None:
    container = a_container(host=HostConfig(restart_policy=RestartPolicy(name=name)), state=state)
    assert starts_with_engine(container) is expected
