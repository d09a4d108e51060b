"""What ``update`` changes: dockerd's rules."""

import pytest

from dockerlab.engine.changes import Changes
from dockerlab.engine.container import HostConfig, RestartPolicy
from dockerlab.engine.updating import updated
from dockerlab.errors import Conflict, InvalidArgument


@pytest.mark.parametrize(
    ("host", "limits", "words"),
    [
        (HostConfig(cpu_period_us=1000), {"nano_cpus": 1}, "CPU Period has already been set"),
        (HostConfig(cpu_quota_us=1000), {"nano_cpus": 1}, "CPU Quota has already been set"),
        (HostConfig(nano_cpus=1), {"cpu_period_us": 1}, "NanoCPUs has already been set"),
        (HostConfig(nano_cpus=1), {"cpu_quota_us": 1}, "NanoCPUs has already been set"),
        (HostConfig(), {"memory_bytes": 1}, "update the memoryswap at the same time"),
        (
            HostConfig(memory_bytes=1, memory_swap_bytes=2),
            {"memory_bytes": 3},
            "update the memoryswap at the same time",
        ),
    ],
)
def test_changes_that_contradict_what_is_set(
    host: HostConfig, limits: dict[str, int], words: str
) -> None:
    with pytest.raises(Conflict, match=words):
        updated(host, Changes(limits=limits))


def test_what_is_not_named_stays() -> None:
    host = HostConfig(memory_bytes=1, memory_swap_bytes=9, cpu_shares=5)
    changed = updated(host, Changes(limits={"memory_bytes": 3}))
    assert changed == HostConfig(memory_bytes=3, memory_swap_bytes=9, cpu_shares=5)


def test_a_restart_policy_is_kept() -> None:
    changed = updated(HostConfig(), Changes(restart_name="on-failure", restart_count=3))
    assert changed.restart_policy == RestartPolicy(name="on-failure", maximum_retry_count=3)


@pytest.mark.parametrize(("name", "count"), [("sometimes", 0), ("always", 3)])
def test_a_restart_policy_that_is_none_is_refused(name: str, count: int) -> None:
    with pytest.raises(InvalidArgument):
        updated(HostConfig(), Changes(restart_name=name, restart_count=count))


def test_what_removes_itself_is_not_restarted() -> None:
    with pytest.raises(Conflict, match="AutoRemove is enabled"):
        updated(HostConfig(auto_remove=True), Changes(restart_name="always"))
