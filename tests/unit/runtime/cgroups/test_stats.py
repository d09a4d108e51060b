"""What containers use, read from made-up cgroups with what the kernel's documentation shows."""

import os
from pathlib import Path

import pytest

from dockerlab.runtime import procfs
from dockerlab.runtime.cgroups.features import features
from dockerlab.runtime.cgroups.stats import members, read_usage
from dockerlab.runtime.cgroups.usage import CpuUsage, DiskRow, Throttling
from dockerlab.runtime.cgroups.v1 import V1Tree
from dockerlab.runtime.cgroups.v2 import V2Tree

PATH = "/dockerlab/abc"


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="ascii")


def test_v2_is_read(tmp_path: Path) -> None:
    _write(
        tmp_path / PATH[1:],
        {
            "cgroup.procs": "7\n",
            "cpu.stat": "usage_usec 900\nuser_usec 600\nsystem_usec 300\n"
            "nr_periods 5\nnr_throttled 2\nthrottled_usec 40\n",
            "memory.current": "8192\n",
            "memory.max": "1048576\n",
            "memory.stat": "anon 4096\ninactive_file 1024\n",
            "pids.current": "3\n",
            "pids.max": "max\n",
            "io.stat": "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n",
        },
    )
    usage = read_usage(V2Tree(str(tmp_path)), PATH, os.getpid(), has_network=False)
    assert usage.cpu == CpuUsage(
        total_ns=900_000, user_ns=600_000, system_ns=300_000, throttling=Throttling(5, 2, 40_000)
    )
    assert (usage.memory.usage_bytes, usage.memory.limit_bytes) == (8192, 1 << 20)
    assert usage.memory.stats == {"anon": 4096, "inactive_file": 1024}
    assert usage.pids == (3, 0)
    assert usage.disks.bytes == (
        DiskRow(8, 16, "read", 1_459_200),
        DiskRow(8, 16, "write", 314_773_504),
    )
    assert usage.disks.requests == (DiskRow(8, 16, "read", 192), DiskRow(8, 16, "write", 353))
    assert usage.interfaces == {}


def test_v1_is_read(tmp_path: Path) -> None:
    mounts = {name: str(tmp_path / name) for name in V1Tree.CONTROLLERS}
    for name, files in {
        "cpu": {"cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 40\n"},
        "cpuacct": {
            "cpuacct.usage": "900\n",
            "cpuacct.usage_percpu": "500 400 \n",
            "cpuacct.stat": "user 1\nsystem 2\n",
        },
        "memory": {
            "memory.usage_in_bytes": "8192\n",
            "memory.max_usage_in_bytes": "9000\n",
            "memory.failcnt": "4\n",
            "memory.limit_in_bytes": "9223372036854771712\n",
            "memory.stat": "total_inactive_file 1024\n",
        },
        "pids": {"pids.current": "3\n", "pids.max": "20\n"},
        "blkio": {
            "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Total 4096\n"
            "Total 4096\n",
        },
    }.items():
        _write(tmp_path / name / PATH[1:], files)
    usage = read_usage(V1Tree(mounts), PATH, os.getpid(), has_network=False)
    assert (usage.cpu.total_ns, usage.cpu.per_cpu_ns) == (900, (500, 400))
    assert usage.cpu.throttling == (5, 2, 40)
    memory = usage.memory
    assert (memory.usage_bytes, memory.max_usage_bytes, memory.failures) == (8192, 9000, 4)
    assert memory.limit_bytes == 0
    assert usage.pids == (3, 20)
    assert usage.disks.bytes == (DiskRow(8, 0, "Read", 4096), DiskRow(8, 0, "Total", 4096))
    assert usage.disks.requests == ()


def test_without_a_cgroup_the_processes_are_summed_up() -> None:
    usage = read_usage(None, "", os.getpid(), has_network=True)
    assert usage.memory.usage_bytes > 1 << 20
    assert usage.cpu.total_ns == usage.cpu.user_ns + usage.cpu.system_ns
    assert "lo" not in usage.interfaces
    assert os.getpid() in members(None, "", os.getpid())


def test_who_is_gone_has_no_members() -> None:
    assert procfs.read_times(1 << 30) is None
    assert members(None, "", 1 << 30) == []


@pytest.mark.parametrize("controllers", ["cpu memory", ""])
def test_features_of_v2_are_those_of_its_controllers(tmp_path: Path, controllers: str) -> None:
    _write(tmp_path, {"cgroup.controllers": controllers})
    found = features(V2Tree(str(tmp_path)))
    assert ("memory" in found) == bool(controllers)
    assert not found & {"pids", "blkio", "swappiness", "oom-kill-disable"}


@pytest.mark.parametrize("has_swap", [False, True])
def test_whether_v2_counts_swap_is_seen_below_the_root(tmp_path: Path, *, has_swap: bool) -> None:
    _write(tmp_path, {"cgroup.controllers": "memory"})
    files = {"memory.current": "1", **({"memory.swap.max": "max"} if has_swap else {})}
    _write(tmp_path / "system.slice", files)
    assert ("swap" in features(V2Tree(str(tmp_path)))) == has_swap
