"""What ``update`` changes of a container: Docker's rules, as a pure function.

The refusals are in dockerd's words. What the host can keep is `engine.limits`'.
"""

from typing import Any, cast, get_args

import msgspec

from dockerlab.engine.changes import Changes
from dockerlab.engine.container import HostConfig, RestartName, RestartPolicy
from dockerlab.errors import Conflict, InvalidArgument

__all__ = ["updated"]


def updated(host: HostConfig, changes: Changes) -> HostConfig:
    """Return the changed record.

    Raises
    ------
    Conflict
        It contradicts what is set already.
    InvalidArgument
        There is no such restart policy.
    """
    _check_cpu(host, changes.limits)
    _check_memory(host, changes.limits)
    changed = msgspec.structs.replace(host, **changes.limits)
    if not changes.restart_name:
        return changed
    policy = _restart_policy(changes)
    if host.auto_remove and policy.name != "no":
        raise Conflict(
            "Restart policy cannot be updated because AutoRemove is enabled for the container"
        )
    return msgspec.structs.replace(changed, restart_policy=policy)


def _check_cpu(host: HostConfig, limits: dict[str, Any]) -> None:
    for ours, theirs, what in (
        ("nano_cpus", "cpu_period_us", "Nano CPUs cannot be updated as CPU Period"),
        ("nano_cpus", "cpu_quota_us", "Nano CPUs cannot be updated as CPU Quota"),
        ("cpu_period_us", "nano_cpus", "CPU Period cannot be updated as NanoCPUs"),
        ("cpu_quota_us", "nano_cpus", "CPU Quota cannot be updated as NanoCPUs"),
    ):
        if limits.get(ours, 0) > 0 and getattr(host, theirs) > 0:
            raise Conflict(f"Conflicting options: {what} has already been set")


def _check_memory(host: HostConfig, limits: dict[str, Any]) -> None:
    memory, swap = limits.get("memory_bytes", 0), limits.get("memory_swap_bytes", 0)
    if memory and not swap and host.memory_swap_bytes != -1 and memory > host.memory_swap_bytes:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the"
            " memoryswap at the same time"
        )


def _restart_policy(changes: Changes) -> RestartPolicy:
    name, count = changes.restart_name, changes.restart_count
    if name not in get_args(RestartName):
        raise InvalidArgument(f"invalid restart policy '{name[:40]}'")
    if count and name != "on-failure":
        raise InvalidArgument(f"maximum retry count cannot be used with restart policy '{name}'")
    return RestartPolicy(name=cast("RestartName", name), maximum_retry_count=count)
