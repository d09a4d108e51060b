"""The unified tree: its files on a made-up tree, its verbs on the real one."""

import errno
from pathlib import Path

import pytest

from dockerlab.oci.runtimespec import Memory, Resources
from dockerlab.runtime.cgroups.folder import CgroupError
from dockerlab.runtime.cgroups.v2 import V2Tree, cpu_weight, swap_alone

PATH = "/dockerlab/abc"
FILES = [
    "cgroup.procs",
    "cgroup.subtree_control",
    "cgroup.freeze",
    "cgroup.kill",
    "memory.max",
    "memory.swap.max",
    "memory.low",
    "cpu.weight",
    "cpu.max",
    "cpuset.cpus",
    "cpuset.mems",
    "pids.max",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder that looks like a unified tree with the container's folders made."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n", encoding="ascii")
    for folder in (tmp_path, tmp_path / "dockerlab", tmp_path / "dockerlab" / "abc"):
        folder.mkdir(exist_ok=True)
        for name in FILES:
            (folder / name).write_text("", encoding="ascii")
    return tmp_path


def read(tree: Path, name: str) -> str:
    return (tree / "dockerlab" / "abc" / name).read_text(encoding="ascii")


def test_limits_become_the_files_of_v2(tree: Path) -> None:
    resources: Resources = {
        "memory": {"limit": 1 << 29, "swap": 3 << 28, "reservation": 1 << 28},
        "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0-1", "mems": "0"},
        "pids": {"limit": 77},
    }
    V2Tree(str(tree)).create(PATH, resources)
    assert {name: read(tree, name) for name in FILES if read(tree, name)} == {
        "memory.max": "536870912",
        "memory.swap.max": "268435456",
        "memory.low": "268435456",
        "cpu.weight": "59",
        "cpu.max": "50000 100000",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "0",
        "pids.max": "77",
    }


@pytest.mark.parametrize(
    "resources",
    [{}, {"pids": {"limit": 0}}, {"memory": {}, "cpu": {"quota": 0}, "blockIO": {}}],
)
def test_what_is_not_limited_is_not_written(tree: Path, resources: Resources) -> None:
    V2Tree(str(tree)).create(PATH, resources)
    assert not any(read(tree, name) for name in FILES)


def test_no_limit_is_written_as_max(tree: Path) -> None:
    V2Tree(str(tree)).create(PATH, {"memory": {"limit": -1, "swap": -1}, "cpu": {"quota": -1}})
    V2Tree(str(tree)).update(PATH, {"pids": {"limit": -1}})
    assert read(tree, "memory.max") == read(tree, "memory.swap.max") == "max"
    assert read(tree, "pids.max") == "max"
    assert read(tree, "cpu.max") == "max 100000"


def test_controllers_are_handed_down_above_the_container(tree: Path) -> None:
    for folder in (tree, tree / "dockerlab"):
        (folder / "cgroup.subtree_control").write_text("io memory\n", encoding="ascii")
    V2Tree(str(tree)).create(PATH, {"pids": {"limit": 5}})
    for folder in (tree, tree / "dockerlab"):
        control = folder / "cgroup.subtree_control"
        # The file lists what is enabled; a made-up one shows what was written last.
        assert control.read_text(encoding="ascii").startswith("+pids")
    assert read(tree, "cgroup.subtree_control") == ""


def test_what_is_counted_is_enabled_without_a_limit(tree: Path) -> None:
    (tree / "cgroup.controllers").write_text("cpu memory\n", encoding="ascii")
    V2Tree(str(tree)).create(PATH, {})
    assert (tree / "cgroup.subtree_control").read_text(encoding="ascii") == "+memory"


def test_limits_of_disks_become_lines_of_io_max(tree: Path) -> None:
    made = tree / "dockerlab" / "abc"
    for name in ("io.max", "io.weight"):
        (made / name).write_text("", encoding="ascii")
    resources: Resources = {
        "blockIO": {
            "weight": 500,
            "throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 1 << 20}],
        }
    }
    V2Tree(str(tree)).create(PATH, resources)
    assert read(tree, "io.max") == "8:16 rbps=1048576"
    assert read(tree, "io.weight") == "4950"
    (made / "io.bfq.weight").write_text("", encoding="ascii")
    V2Tree(str(tree)).update(PATH, resources)
    assert read(tree, "io.bfq.weight") == "500"


def test_a_weight_that_no_scheduler_has_is_an_error(tree: Path) -> None:
    with pytest.raises(CgroupError, match="no disk scheduler of this kernel has weights"):
        V2Tree(str(tree)).update(PATH, {"blockIO": {"weight": 500}})


@pytest.mark.parametrize("memory", [Memory(swappiness=10), Memory(disableOOMKiller=True)])
def test_what_v2_does_not_have_is_an_error(tree: Path, memory: Memory) -> None:
    with pytest.raises(CgroupError, match="leave them out"):
        V2Tree(str(tree)).update(PATH, {"memory": memory})


def test_a_limit_without_its_controller_is_an_error(tree: Path) -> None:
    (tree / "cgroup.controllers").write_text("cpu\n", encoding="ascii")
    with pytest.raises(CgroupError, match='controller "memory" is not delegated') as caught:
        V2Tree(str(tree)).create("/dockerlab/new", {"memory": {"limit": 1 << 20}})
    assert caught.value.errno == errno.ENODEV
    assert not (tree / "dockerlab" / "new").exists()


def test_a_limit_whose_file_is_missing_names_the_file(tree: Path) -> None:
    with pytest.raises(CgroupError, match="cannot limit processes") as caught:
        V2Tree(str(tree)).create("/dockerlab/new", {"pids": {"limit": 5}})
    assert str(caught.value.filename).endswith("/dockerlab/new/pids.max")
    assert not (tree / "dockerlab" / "new").exists()


def test_kills_for_want_of_memory_are_counted(tree: Path) -> None:
    (tree / "dockerlab" / "abc" / "memory.events").write_text(
        "low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n", encoding="ascii"
    )
    assert V2Tree(str(tree)).oom_kills(PATH) == 3
    assert V2Tree(str(tree)).oom_kills("/dockerlab/none") == 0


@pytest.mark.parametrize(
    ("swap", "limit", "alone"),
    [(None, 10, None), (0, 10, None), (-1, 10, -1), (30, 10, 20), (10, 10, 0), (5, -1, 5)],
)
def test_swap_alone_is_the_sum_without_memory(
    swap: int | None, limit: int, alone: int | None
) -> None:
    assert swap_alone(swap, limit) == alone


@pytest.mark.parametrize(("swap", "limit"), [(10, 0), (10, 20)])
def test_swap_without_or_below_memory_is_an_error(swap: int, limit: int) -> None:
    with pytest.raises(CgroupError) as caught:
        swap_alone(swap, limit)
    assert caught.value.errno == errno.EINVAL


def test_weights_grow_with_shares_between_their_bounds() -> None:
    weights = [cpu_weight(shares) for shares in range(2, 262_145, 1000)]
    assert weights == sorted(weights)
    assert (weights[0], cpu_weight(1024), cpu_weight(262_144)) == (1, 100, 10_000)
