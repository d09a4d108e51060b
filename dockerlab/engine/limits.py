"""Limits of a container: Docker's checks, what follows from them, and their spec.

A limit that this host cannot keep is an error here, where dockerd leaves it out with a warning.
The wording of refusals is dockerd's. Read `settle`, then `resources_of`.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from dockerlab.engine.container import DeviceLimit, HostConfig
from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.oci.runtimespec import BlockIO, Cpu, Memory, Resources, ThrottleDevice
from dockerlab.runtime.cgroups.features import host_features

__all__ = ["check_limits", "resources_of", "settle"]

_MIN_MEMORY_BYTES = 6 << 20
_MAX_SWAPPINESS = 100
_CPU_PERIOD_US = 100_000
_LEAST_US, _MOST_US = 1000, 1_000_000
_WEIGHTS = range(10, 1001)
_ONLINE = Path("/sys/devices/system")
_MOST_NUMBERS = 1 << 13  # CONFIG_NR_CPUS_RANGE_END of the largest kernels

# Limit of this host (`runtime.cgroups.features`) -> fields that need it, and their flag.
_NEEDS: dict[str, tuple[tuple[str, ...], str]] = {
    "memory": (("memory_bytes",), "--memory"),
    "reservation": (("memory_reservation_bytes",), "--memory-reservation"),
    "swappiness": (("memory_swappiness",), "--memory-swappiness"),
    "oom-kill-disable": (("oom_kill_disable",), "--oom-kill-disable"),
    "cpu-shares": (("cpu_shares",), "--cpu-shares"),
    "cpu-quota": (("nano_cpus", "cpu_period_us", "cpu_quota_us"), "--cpus"),
    "cpuset": (("cpuset_cpus", "cpuset_mems"), "--cpuset-cpus"),
    "pids": (("pids_limit",), "--pids-limit"),
    "blkio": (
        (
            "blkio_weight",
            "blkio_weight_device",
            "blkio_device_read_bps",
            "blkio_device_write_bps",
            "blkio_device_read_iops",
            "blkio_device_write_iops",
        ),
        "--blkio-weight, --device-read-bps and the like",
    ),
}
_THROTTLES = (
    ("throttleReadBpsDevice", "blkio_device_read_bps"),
    ("throttleWriteBpsDevice", "blkio_device_write_bps"),
    ("throttleReadIOPSDevice", "blkio_device_read_iops"),
    ("throttleWriteIOPSDevice", "blkio_device_write_iops"),
)


def settle(host: HostConfig, *, cpus: int) -> tuple[HostConfig, list[str]]:
    """Check the limits of a new container and fill in what follows from them.

    Parameters
    ----------
    cpus : int
        Processors of this host.

    Returns
    -------
    host, warnings
        Memory without a word of swap gets as much swap again, as in Docker.

    Raises
    ------
    InvalidArgument
        A limit that dockerd refuses.
    Unsupported
        A limit that this host cannot keep.
    """
    check_limits(host, cpus=cpus)
    needed = list(_needed(host))
    if not needed:
        return host, []  # Nothing of the host is looked at for limits that nobody asked for.
    resources_of(host)  # Whether the disks are there.
    has = host_features()
    warnings = []
    for feature, flag in needed:
        if feature not in has:
            raise Unsupported(
                f"{flag} needs a cgroup controller that this host does not have",
                "leave it out, or have an administrator enable the controller",
            )
    if host.memory_bytes and host.memory_swap_bytes != -1 and "swap" not in has:
        if host.memory_swap_bytes:
            raise Unsupported(
                "--memory-swap needs a kernel that counts swap, which this one does not",
                "leave it out, or boot with swapaccount=1",
            )
        warnings.append(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted."
            " Memory limited without swap."
        )
        host = msgspec.structs.replace(host, memory_swap_bytes=-1)
    elif host.memory_bytes and not host.memory_swap_bytes:
        host = msgspec.structs.replace(host, memory_swap_bytes=2 * host.memory_bytes)
    if host.oom_kill_disable and not host.memory_bytes:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result"
            " in the system running out of resources."
        )
    return host, warnings


def _needed(host: HostConfig) -> Iterator[tuple[str, str]]:
    for feature, (names, flag) in _NEEDS.items():
        # A swappiness of 0 asks for something; a number of processes of -1 does not.
        values = [getattr(host, name) for name in names]
        if any(value not in (None, -1) if feature == "swappiness" else value for value in values):
            yield feature, flag


def check_limits(host: HostConfig, *, cpus: int) -> None:
    """Raise InvalidArgument for a limit that dockerd refuses, in its words."""
    _check_memory(host)
    _check_cpu(host, cpus=cpus)
    _check_set(host.cpuset_cpus, "cpu", "CPUs")
    _check_set(host.cpuset_mems, "node", "memory nodes")
    if host.blkio_weight and host.blkio_weight not in _WEIGHTS:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    for device in host.blkio_weight_device:
        if device.value not in _WEIGHTS:
            raise InvalidArgument(f'invalid weight for device "{device.path}": from 10 to 1000')


def _check_memory(host: HostConfig) -> None:
    memory, swap = host.memory_bytes, host.memory_swap_bytes
    reservation, swappiness = host.memory_reservation_bytes, host.memory_swappiness
    if 0 < memory < _MIN_MEMORY_BYTES:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if swap > 0 and not memory:
        raise InvalidArgument(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    if 0 < swap < memory:
        raise InvalidArgument(
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        )
    if 0 < reservation < _MIN_MEMORY_BYTES:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if 0 < memory < reservation:
        raise InvalidArgument(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    if swappiness is not None and not 0 <= swappiness <= _MAX_SWAPPINESS:
        raise InvalidArgument(
            f"Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )


def _check_cpu(host: HostConfig, *, cpus: int) -> None:
    period, quota = host.cpu_period_us, host.cpu_quota_us
    if host.nano_cpus < 0 or host.nano_cpus > cpus * 10**9:
        raise InvalidArgument(
            f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        )
    if host.nano_cpus and (quota or period):
        raise InvalidArgument(
            f"Conflicting options: Nano CPUs and CPU {'Period' if period else 'Quota'} cannot both"
            " be set"
        )
    if period and not _LEAST_US <= period <= _MOST_US:
        raise InvalidArgument(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < quota < _LEAST_US:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")


def _check_set(wanted: str, kind: str, what: str) -> None:
    if not wanted:
        return
    name = "cpus" if kind == "cpu" else "mems"
    try:
        numbers = set(_numbers(wanted))
    except ValueError as exc:
        raise InvalidArgument(f"Invalid value {wanted[:60]} for cpuset {name}") from exc
    try:
        available = (_ONLINE / kind / "online").read_text(encoding="ascii").strip()
    except OSError:
        return  # A kernel without the list says it when the container starts.
    if not numbers <= set(_numbers(available)):
        raise InvalidArgument(
            f"Requested {what} are not available - requested {wanted[:60]}, available: {available}"
        )


def _numbers(text: str) -> Iterable[int]:
    """Return the numbers of a list such as ``0-2,7``; see "List format" in cpuset(7)."""
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin, end = int(first), int(last if dash else first)
        if not 0 <= begin <= end < _MOST_NUMBERS:
            raise ValueError(part)
        yield from range(begin, end + 1)


def resources_of(host: HostConfig) -> Resources:
    """Return the limits as the runtime spec has them; empty without any.

    Raises
    ------
    InvalidArgument
        A disk that is not there.
    """
    resources: Resources = {}
    if memory := _memory(host):
        resources["memory"] = memory
    if cpu := _cpu(host):
        resources["cpu"] = cpu
    if host.pids_limit > 0:
        resources["pids"] = {"limit": host.pids_limit}
    if block := _block_io(host):
        resources["blockIO"] = block
    return resources


def _memory(host: HostConfig) -> Memory:
    memory: Memory = {}
    if host.memory_bytes:
        memory["limit"] = host.memory_bytes
        if host.memory_swap_bytes:
            memory["swap"] = host.memory_swap_bytes
    if host.memory_reservation_bytes:
        memory["reservation"] = host.memory_reservation_bytes
    if host.memory_swappiness is not None:
        memory["swappiness"] = host.memory_swappiness
    if host.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(host: HostConfig) -> Cpu:
    cpu: Cpu = {}
    if host.nano_cpus:
        cpu["period"] = _CPU_PERIOD_US
        cpu["quota"] = host.nano_cpus * _CPU_PERIOD_US // 10**9
    if host.cpu_period_us:
        cpu["period"] = host.cpu_period_us
    if host.cpu_quota_us:
        cpu["quota"] = host.cpu_quota_us
    if host.cpu_shares:
        cpu["shares"] = host.cpu_shares
    if host.cpuset_cpus:
        cpu["cpus"] = host.cpuset_cpus
    if host.cpuset_mems:
        cpu["mems"] = host.cpuset_mems
    return cpu


def _block_io(host: HostConfig) -> BlockIO:
    block: BlockIO = {}
    if host.blkio_weight:
        block["weight"] = host.blkio_weight
    if host.blkio_weight_device:
        block["weightDevice"] = [
            {"major": major, "minor": minor, "weight": weight}
            for major, minor, weight in map(_disk, host.blkio_weight_device)
        ]
    for key, name in _THROTTLES:
        limits: tuple[DeviceLimit, ...] = getattr(host, name)
        if limits:
            rows = [_disk(limit) for limit in limits]
            throttles: list[ThrottleDevice] = [
                {"major": major, "minor": minor, "rate": rate} for major, minor, rate in rows
            ]
            block[key] = throttles  # type: ignore[literal-required]
    return block


def _disk(limit: DeviceLimit) -> tuple[int, int, int]:
    try:
        status = Path(limit.path).stat()
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise InvalidArgument(f"stat {limit.path[:100]}: {reason}") from exc
    except ValueError as exc:
        raise InvalidArgument(f'"{limit.path[:100]!r}" is no path') from exc
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidArgument(f'"{limit.path}" is not a block device')
    return os.major(status.st_rdev), os.minor(status.st_rdev), limit.value
