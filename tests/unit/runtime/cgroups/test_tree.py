import errno
from pathlib import Path

import pytest

from dockerlab.runtime.cgroups.folder import CgroupError
from dockerlab.runtime.cgroups.tree import detect, parse_mountinfo

ROOT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
V1 = """\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /mnt/with\\040space rw shared:4 master:1 - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
"""
V2 = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "mountinfo").write_text(text, encoding="utf-8")
    return str(tmp_path / "mountinfo")


def test_controllers_mounted_together_share_a_place() -> None:
    controllers, unified = parse_mountinfo(ROOT + V1 + V2)
    assert controllers == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory",
        "devices": "/mnt/with space",
    }
    assert unified == "/sys/fs/cgroup/unified"


def test_the_first_mount_of_a_tree_counts() -> None:
    again = V2.replace("/sys/fs/cgroup/unified", "/somewhere/else")
    assert parse_mountinfo(V2 + again)[1] == "/sys/fs/cgroup/unified"


@pytest.mark.parametrize(("mounts", "version"), [(V1, 1), (V2, 2), (V1 + V2, 1)])
def test_v1_wins_where_it_has_controllers(tmp_path: Path, mounts: str, version: int) -> None:
    assert detect(write(tmp_path, ROOT + mounts)).version == version


def test_named_hierarchies_of_v1_are_no_controllers(tmp_path: Path) -> None:
    named = V1.splitlines(keepends=True)[-1]
    assert detect(write(tmp_path, named + V2)).version == 2


def test_a_host_without_cgroups_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CgroupError, match="no cgroup file system is mounted") as caught:
        detect(write(tmp_path, ROOT))
    assert caught.value.errno == errno.ENOENT


def test_this_host_is_recognised() -> None:
    assert detect().version in {1, 2}
