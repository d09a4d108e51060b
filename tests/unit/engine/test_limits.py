"""Limits: dockerd's checks, and the words of the runtime spec."""

import os
from pathlib import Path

import pytest

from dockerlab.engine.container import DeviceLimit, HostConfig
from dockerlab.engine.limits import check_limits, resources_of, settle
from dockerlab.errors import InvalidArgument


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (HostConfig(memory_bytes=1 << 20), "Minimum memory limit allowed is 6MB"),
        (HostConfig(nano_cpus=3 * 10**9), "as there are only 2 CPUs available"),
        (HostConfig(memory_swap_bytes=1 << 30), "set the Memory limit"),
        (HostConfig(memory_bytes=1 << 30, memory_swap_bytes=1 << 29), "larger than memory limit"),
        (HostConfig(nano_cpus=10**9, cpu_quota_us=1000), "cannot both be set"),
        (HostConfig(memory_reservation_bytes=1), "Minimum memory reservation allowed is 6MB"),
        (
            HostConfig(memory_bytes=7 << 20, memory_reservation_bytes=8 << 20),
            "can not be less than memory reservation",
        ),
        (HostConfig(memory_swappiness=101), "range is 0-100"),
        (HostConfig(cpu_period_us=999), "CPU cfs period can not be less than 1ms"),
        (HostConfig(cpu_quota_us=999), "CPU cfs quota can not be less than 1ms"),
        (HostConfig(cpuset_cpus="0-"), "Invalid value 0- for cpuset cpus"),
        (HostConfig(cpuset_cpus="0-99999999999"), "Invalid value"),
        (HostConfig(cpuset_cpus="8000"), "Requested CPUs are not available - requested 8000"),
        (HostConfig(cpuset_mems="1000"), "Requested memory nodes are not available"),
        (HostConfig(blkio_weight=5), "Range of blkio weight is from 10 to 1000"),
        (HostConfig(blkio_weight_device=(DeviceLimit("/dev/sda", 5),)), "from 10 to 1000"),
    ],
)
def test_limits_that_dockerd_refuses(host: HostConfig, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        check_limits(host, cpus=2)


def test_sensible_limits_pass() -> None:
    check_limits(HostConfig(memory_bytes=6 << 20, nano_cpus=2 * 10**9, cpuset_cpus="0"), cpus=2)


def test_without_a_limit_nothing_changes() -> None:
    assert settle(HostConfig(), cpus=2) == (HostConfig(), [])


@pytest.mark.needs_cgroup
def test_memory_without_a_word_of_swap_gets_as_much_swap() -> None:
    host, _ = settle(HostConfig(memory_bytes=8 << 20), cpus=2)
    assert host.memory_swap_bytes in (16 << 20, -1)


def test_limits_become_those_of_the_spec() -> None:
    host = HostConfig(
        memory_bytes=100,
        memory_swap_bytes=200,
        memory_reservation_bytes=50,
        memory_swappiness=0,
        oom_kill_disable=True,
        nano_cpus=1_500_000_000,
        cpu_shares=512,
        pids_limit=7,
    )
    assert resources_of(host) == {
        "memory": {
            "limit": 100,
            "swap": 200,
            "reservation": 50,
            "swappiness": 0,
            "disableOOMKiller": True,
        },
        "cpu": {"period": 100_000, "quota": 150_000, "shares": 512},
        "pids": {"limit": 7},
    }


def test_a_disk_that_is_none_is_refused(tmp_path: Path) -> None:
    for path in (os.devnull, str(tmp_path), "/dev/no-such-disk", "nul\0"):
        with pytest.raises(InvalidArgument, match=r"stat /dev/no|not a block device|no path"):
            resources_of(HostConfig(blkio_device_read_bps=(DeviceLimit(path, 1),)))
