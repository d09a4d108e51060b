"""What both versions promise, on the trees that this host has: the suite of the interface."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockerlab.oci.runtimespec import DeviceRule, Memory, Resources
from dockerlab.runtime.cgroups.folder import CgroupError
from dockerlab.runtime.cgroups.stats import members, read_usage
from dockerlab.runtime.cgroups.tree import CgroupTree, detect
from dockerlab.runtime.cgroups.v1 import V1Tree
from dockerlab.runtime.cgroups.v2 import V2Tree
from dockerlab.runtime.defaults import device_rules
from dockerlab.runtime.loop import Loop
from dockerlab.runtime.oomwatch import OomWatch
from tests.support.cgroups import SLEEP, fresh_path, started_inside, unified_mount
from tests.support.filters import in_child

pytestmark = pytest.mark.needs_cgroup

DEVICES: Resources = {"devices": device_rules()}

FORK_TWENTY = f"""
import os
for _ in range(20):
    if os.fork() == 0:
        break
print("forked", flush=True)
{SLEEP}
"""

COUNT = "import itertools\nfor n in itertools.count(): print(n, flush=True)"


def trees() -> list[CgroupTree]:
    found = [detect()]
    if found[0].version == 1 and unified_mount():
        found.append(V2Tree(unified_mount()))
    return found


@pytest.fixture(params=[1, 2])
def tree(request: pytest.FixtureRequest) -> CgroupTree:
    for each in trees():
        if each.version == request.param:
            return each
    pytest.skip(f"cgroup v{request.param} is not mounted")


@pytest.fixture
def path(tree: CgroupTree) -> Iterator[str]:
    with fresh_path(tree) as made:
        yield made


def test_who_joins_is_inside(tree: CgroupTree, path: str) -> None:
    tree.create(path, DEVICES)
    with started_inside(tree, path, SLEEP) as process:
        assert tree.processes(path) == [process.pid]


def test_a_process_can_join_by_itself(tree: CgroupTree, path: str) -> None:
    def act() -> str:
        tree.join(path, 0)
        return str(tree.processes(path) == [os.getpid()])

    tree.create(path, DEVICES)
    assert in_child(act) == "True"


def test_who_is_killed_leaves_an_empty_cgroup(tree: CgroupTree, path: str) -> None:
    tree.create(path, DEVICES)
    with started_inside(tree, path, FORK_TWENTY) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(21)]
        assert lines == ["forked\n"] * 21
        assert len(tree.processes(path)) == 21
        tree.kill(path)
        assert process.wait() == -signal.SIGKILL
    assert tree.processes(path) == []


def test_a_frozen_process_does_not_run_and_a_thawed_one_does(tree: CgroupTree, path: str) -> None:
    tree.create(path, DEVICES)
    with started_inside(tree, path, COUNT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not tree.is_frozen(path)
        tree.freeze(path)
        assert tree.is_frozen(path)
        os.set_blocking(process.stdout.fileno(), False)
        time.sleep(0.05)
        with suppress(BlockingIOError):
            while os.read(process.stdout.fileno(), 1 << 20):
                pass
        time.sleep(0.05)
        with pytest.raises(BlockingIOError):
            os.read(process.stdout.fileno(), 1)
        tree.thaw(path)
        assert not tree.is_frozen(path)
        os.set_blocking(process.stdout.fileno(), True)
        assert os.read(process.stdout.fileno(), 1)


def test_a_frozen_container_can_be_killed(tree: CgroupTree, path: str) -> None:
    tree.create(path, DEVICES)
    with started_inside(tree, path, SLEEP) as process:
        tree.freeze(path)
        tree.kill(path)
        assert process.wait() == -signal.SIGKILL


def test_a_limit_can_be_given_to_what_runs(limiting: tuple[CgroupTree, str]) -> None:
    tree, path = limiting
    memory_file = "memory.limit_in_bytes" if tree.version == 1 else "memory.max"
    tree.create(path, DEVICES)
    with started_inside(tree, path, SLEEP) as process:
        memory: Memory = {"limit": 64 << 20, "swap": 64 << 20}
        tree.update(path, {"memory": memory, "pids": {"limit": 9}})
        pids = Path(tree.folder(path, "pids"))
        limited = Path(tree.folder(path, "memory"))
        for folder in (pids, limited):
            inside = (folder / "cgroup.procs").read_text(encoding="ascii")
            assert inside == f"{process.pid}\n"
        # More than the sum of memory and swap was, so in another order than before.
        tree.update(path, {"memory": {"limit": 96 << 20, "swap": 96 << 20}})
        assert int((limited / memory_file).read_text(encoding="ascii")) == 96 << 20
        tree.update(path, {"pids": {"limit": -1}})
        assert (pids / "pids.max").read_text(encoding="ascii") == "max\n"


def test_what_hits_its_memory_limit_is_heard(limiting: tuple[CgroupTree, str]) -> None:
    tree, path = limiting
    tree.create(path, {"memory": {"limit": 8 << 20, "swap": 8 << 20}})
    heard: list[bool] = []
    loop = Loop()

    def hear() -> None:
        heard.append(True)
        loop.stop()

    watch = OomWatch(loop, hear)
    watch.start(tree, path)
    with started_inside(tree, path, "bytearray(64 << 20)") as process:
        loop.call_later(20, loop.stop)
        loop.run()
        assert process.wait() == -signal.SIGKILL
    loop.close()
    assert heard
    assert watch.has_seen


def test_usage_is_read_from_what_there_is(tree: CgroupTree, path: str) -> None:
    tree.create(path, DEVICES)
    with started_inside(tree, path, COUNT) as process:
        usage = read_usage(tree, path, process.pid, has_network=True)
        while not usage.cpu.total_ns:
            usage = read_usage(tree, path, process.pid, has_network=True)
        assert members(tree, path, process.pid) == [process.pid]
    assert usage.memory.usage_bytes > 1 << 16  # of a process that has just begun
    assert usage.pids == (1, 0)
    assert usage.host.processors == os.cpu_count()


def test_removal_waits_for_the_dying(tree: CgroupTree, path: str) -> None:
    tree.create(path, DEVICES)
    with started_inside(tree, path, SLEEP) as process:
        process.kill()
        tree.remove(path)
    assert tree.processes(path) == []
    tree.remove(path)


def test_nothing_is_asked_of_a_cgroup_that_is_not_there(tree: CgroupTree, path: str) -> None:
    tree.kill(path)
    tree.thaw(path)
    tree.remove(path)
    assert tree.processes(path) == []
    assert tree.oom_kills(path) == 0


def test_only_the_allowed_devices_can_be_opened(tree: CgroupTree, path: str) -> None:
    rules: list[DeviceRule] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 9, "access": "r"},
    ]
    code = """
import os
for path, flags in (
    ("/dev/null", os.O_RDWR), ("/dev/zero", os.O_RDONLY),
    ("/dev/urandom", os.O_RDONLY), ("/dev/urandom", os.O_RDWR),
):
    try:
        os.close(os.open(path, flags)); print("yes")
    except PermissionError:
        print("no")
"""
    tree.create(path, {"devices": rules})
    with started_inside(tree, path, code) as process:
        output, _ = process.communicate()
    assert output.split() == ["yes", "no", "yes", "no"]


def test_dockers_devices_refuse_a_node_that_was_just_made(
    tree: CgroupTree, path: str, tmp_path: Path
) -> None:
    node = tmp_path / "memory"
    code = f"""
import os
os.mknod({str(node)!r}, 0o20600, os.makedev(1, 1))
try:
    os.open({str(node)!r}, os.O_RDONLY); print("opened")
except PermissionError:
    print("refused")
for name in ("null", "zero", "full", "random", "urandom"):
    os.open("/dev/" + name, os.O_RDWR)
print("others opened")
"""
    tree.create(path, DEVICES)
    with started_inside(tree, path, code) as process:
        output, _ = process.communicate()
    assert output.splitlines() == ["refused", "others opened"]


# ------------------------------------------------------------- limits, on the host's own tree


@pytest.fixture
def limiting() -> Iterator[tuple[CgroupTree, str]]:
    tree = detect()
    with fresh_path(tree) as path:
        yield tree, path


def test_who_takes_more_memory_than_allowed_is_killed_and_counted(
    limiting: tuple[CgroupTree, str],
) -> None:
    tree, path = limiting
    tree.create(path, {**DEVICES, "memory": {"limit": 32 << 20, "swap": 32 << 20}})
    assert tree.oom_kills(path) == 0
    with started_inside(tree, path, "held = b'x' * (128 << 20)") as process:
        assert process.wait() == -signal.SIGKILL
    assert tree.oom_kills(path) == 1


def test_enough_memory_is_no_kill(limiting: tuple[CgroupTree, str]) -> None:
    tree, path = limiting
    tree.create(path, {"memory": {"limit": 256 << 20}})
    with started_inside(tree, path, "held = b'x' * (16 << 20)") as process:
        assert process.wait() == 0
    assert tree.oom_kills(path) == 0


def test_no_more_processes_than_allowed_can_be_forked(limiting: tuple[CgroupTree, str]) -> None:
    tree, path = limiting
    tree.create(path, {**DEVICES, "pids": {"limit": 5}})
    code = """
import os, signal
for forked in range(20):
    try:
        pid = os.fork()
    except BlockingIOError:
        break
    if pid == 0:
        signal.pause()
print(forked, flush=True)
"""
    with started_inside(tree, path, code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "4\n"
        tree.kill(path)


def test_a_quota_throttles(limiting: tuple[CgroupTree, str]) -> None:
    tree, path = limiting
    tree.create(path, {"cpu": {"quota": 10_000, "period": 100_000, "shares": 512}})
    code = "import time\nend = time.process_time() + 0.06\nwhile time.process_time() < end: pass"
    with started_inside(tree, path, code) as process:
        assert process.wait() == 0
    folders = [Path(f"/sys/fs/cgroup{name}{path}") for name in ("/cpu", "")]
    folder = next(each for each in folders if each.is_dir())
    statistics = (folder / "cpu.stat").read_text(encoding="ascii")
    assert dict(line.split() for line in statistics.splitlines())["nr_throttled"] != "0"


def test_chosen_cpus_are_the_only_ones(limiting: tuple[CgroupTree, str]) -> None:
    tree, path = limiting
    cpu = min(os.sched_getaffinity(0))
    tree.create(path, {"cpu": {"cpus": str(cpu)}})
    code = "import os; print(*os.sched_getaffinity(0))"
    with started_inside(tree, path, code) as process:
        assert process.communicate()[0].split() == [str(cpu)]


def test_a_value_that_the_kernel_refuses_leaves_nothing_behind(
    limiting: tuple[CgroupTree, str],
) -> None:
    tree, path = limiting
    with pytest.raises(CgroupError, match="cannot choose CPUs") as caught:
        tree.create(path, {**DEVICES, "cpu": {"cpus": "4000"}})
    assert str(caught.value.filename).endswith(f"{path}/cpuset.cpus")
    assert not list(Path("/sys/fs/cgroup").glob(f"*{path}"))


# ----------------------------------------------------------------------------------- v1 only


def v1_tree() -> V1Tree:
    tree = detect()
    if not isinstance(tree, V1Tree):
        pytest.skip("cgroup v1 is not mounted")
    return tree


def test_only_the_needed_hierarchies_are_joined() -> None:
    tree = v1_tree()
    with fresh_path(tree) as path:
        tree.create(path, {**DEVICES, "pids": {"limit": 5}})
        joined = {made.parents[1].name for made in Path("/sys/fs/cgroup").glob(f"*{path}")}
        assert joined == {"devices", "pids"}


def test_a_limit_without_its_controller_is_an_error() -> None:
    tree = V1Tree({"devices": "/sys/fs/cgroup/devices"})
    with pytest.raises(CgroupError, match='controller "memory" is not there'):
        tree.create("/dockerlab-tests-none", {"memory": {"limit": 1 << 20}})


def test_pausing_without_a_freezer_is_an_error() -> None:
    with pytest.raises(CgroupError, match='controller "freezer" is not there'):
        V1Tree({}).freeze("/dockerlab-tests-none")
