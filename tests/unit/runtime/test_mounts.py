"""The mount plan on the kernel's double: what is mounted where, in which order, with what."""

import errno
import os
import stat
from typing import Any

import pytest

from dockerlab.kernel import constants
from dockerlab.kernel.fake import FakeKernel
from dockerlab.runtime import defaults, rootfs
from dockerlab.runtime.inside import make_directory, make_file
from dockerlab.runtime.mounts import parse_options, plan_cgroups, plan_mounts
from dockerlab.runtime.protocol import StepFailure


def spec(**changes: Any) -> Any:
    return {
        "mounts": defaults.default_mounts(1 << 26),
        "linux": {
            "devices": defaults.default_devices(),
            "maskedPaths": ["/proc/kcore", "/sys/firmware", "/proc/absent"],
            "readonlyPaths": ["/proc/sys", "/proc/missing"],
        },
        **changes,
    }


def perform(spec: Any, tree: dict[str, str] | None = None) -> FakeKernel:
    kernel = FakeKernel(tree)
    for operation in plan_mounts(spec):
        operation.perform(kernel, kernel.ROOT)
    return kernel


def test_the_plan_can_be_read_before_it_is_done() -> None:
    lines = [operation.describe() for operation in plan_mounts(spec())]

    assert lines == [
        "mount proc on /proc",
        "mount tmpfs on /dev mode=755,size=65536k",
        "make 6 nodes in /dev, and make the usual links",
        "mount devpts on /dev/pts newinstance,ptmxmode=0666,mode=0620,gid=5",
        "mount sysfs on /sys",
        "mount mqueue on /dev/mqueue",
        "mount tmpfs on /dev/shm mode=1777,size=67108864",
        "make /proc/sys read-only",
        "make /proc/missing read-only",
        "mask /proc/kcore",
        "mask /sys/firmware",
        "mask /proc/absent",
    ]


def test_everything_is_attached_in_order_and_every_descriptor_closed() -> None:
    tree = {
        "/proc": "directory",
        "/proc/sys": "directory",
        "/proc/kcore": "file",
        "/sys": "directory",
        "/sys/firmware": "directory",
    }
    kernel = perform(spec(), tree)

    assert kernel.mounts == [
        ("proc", "/proc"),
        ("tmpfs", "/dev"),
        ("devpts", "/dev/pts"),
        ("sysfs", "/sys"),
        ("mqueue", "/dev/mqueue"),
        ("tmpfs", "/dev/shm"),
        ("/proc/sys", "/proc/sys"),
        ("/dev/null", "/proc/kcore"),
        ("tmpfs", "/sys/firmware"),
    ]
    assert kernel.open_fds == {kernel.ROOT: "/"}


def test_mount_points_are_made_where_they_are_missing() -> None:
    kernel = perform(spec())

    made = [call[1] for call in kernel.calls if call[0] == "mkdir"]
    assert made == ["/proc", "/dev", "/dev/pts", "/sys", "/dev/mqueue", "/dev/shm"]


def test_sys_is_read_only_and_proc_has_no_programs() -> None:
    kernel = perform(spec())

    attributes = {str(call[1]): call[2] for call in kernel.calls if call[0] == "fsmount"}
    safe = constants.MOUNT_ATTR_NOSUID | constants.MOUNT_ATTR_NODEV | constants.MOUNT_ATTR_NOEXEC
    assert attributes["proc"] == safe
    assert attributes["sysfs"] == safe | constants.MOUNT_ATTR_RDONLY


def test_dev_has_nodes_with_their_numbers() -> None:
    kernel = perform(spec())

    nodes = {call[1]: call[2:] for call in kernel.calls if call[0] == "mknod"}
    assert nodes["/dev/null"] == (stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert kernel.kind_of("/dev/ptmx") == "link:pts/ptmx"


@pytest.mark.parametrize("path", ["/proc", "/sys", "/dev"])
def test_a_link_in_a_protected_place_is_refused(path: str) -> None:
    with pytest.raises(OSError, match="the image has a symbolic link") as caught:
        perform(spec(), {path: "link:/etc", "/etc": "directory"})

    assert caught.value.errno == errno.ELOOP


def test_a_mask_needs_the_real_null_device() -> None:
    kernel = FakeKernel({"/dev": "directory", "/dev/null": "file", "/secret": "file"})
    with pytest.raises(OSError, match="not the null device"):
        rootfs.MaskedPath("/secret").perform(kernel, kernel.ROOT)

    assert kernel.mounts == []
    assert kernel.open_fds == {kernel.ROOT: "/"}


def test_a_read_only_bind_covers_everything_below_it() -> None:
    bind = {
        "destination": "/data/../data",
        "type": "bind",
        "source": "/host/data",
        "options": ["rbind", "ro", "rprivate"],
    }
    kernel = perform(spec(mounts=[bind], linux={}))

    read_only = constants.MOUNT_ATTR_RDONLY
    assert ("open_tree", "/host/data", True) in kernel.calls
    assert ("setattr", "/host/data", read_only, 0, constants.MS_PRIVATE, True) in kernel.calls
    assert kernel.mounts == [("/host/data", "/data")]


@pytest.mark.parametrize("option", ["shared", "rshared"])
def test_mounts_that_would_reach_the_host_are_refused(option: str) -> None:
    with pytest.raises(StepFailure, match="would let mounts of the container reach the host"):
        parse_options([option], "/data")


def test_the_last_option_wins() -> None:
    parsed = parse_options(["ro", "noexec", "rw", "strictatime", "size=1m", "defaults"], "/x")

    assert parsed.set_ == constants.MOUNT_ATTR_NOEXEC | constants.MOUNT_ATTR_STRICTATIME
    assert parsed.clear & constants.MOUNT_ATTR_RDONLY
    assert parsed.data == ["size=1m"]


def test_a_sysctl_comes_before_proc_is_read_only() -> None:
    plan = plan_mounts(spec(linux={"sysctl": {"net.a": "1"}, "readonlyPaths": ["/proc/sys"]}))

    assert [operation.describe() for operation in plan[-2:]] == [
        "set net.a to 1",
        "make /proc/sys read-only",
    ]


def test_cgroup_v2_is_one_folder() -> None:
    kernel = FakeKernel(
        {"/sys": "directory", "/sys/fs": "directory", "/sys/fs/cgroup": "directory"}
    )
    for operation in plan_cgroups(spec(), [["", "/host/cgroup/box"]]):
        operation.perform(kernel, kernel.ROOT)

    assert kernel.mounts == [("/host/cgroup/box", "/sys/fs/cgroup")]


def test_cgroup_v1_is_a_tmpfs_with_a_folder_for_each_hierarchy() -> None:
    kernel = FakeKernel(
        {"/sys": "directory", "/sys/fs": "directory", "/sys/fs/cgroup": "directory"}
    )
    folders = [["devices", "/host/devices/box"], ["memory", "/host/memory/box"]]
    for operation in plan_cgroups(spec(), folders):
        operation.perform(kernel, kernel.ROOT)

    assert kernel.mounts == [
        ("tmpfs", "/sys/fs/cgroup"),
        ("/host/devices/box", "/sys/fs/cgroup/devices"),
        ("/host/memory/box", "/sys/fs/cgroup/memory"),
    ]
    last = kernel.calls[-1]
    assert last[0] == "setattr"
    assert last[2] == last[2] | constants.MOUNT_ATTR_RDONLY  # type: ignore[operator]


def test_the_overlay_has_its_layers_top_first() -> None:
    kernel = FakeKernel({"/b": "directory", "/b/rootfs": "directory"})
    overlay: rootfs.Overlay = {"lower": ["/l/top", "/l/base"], "upper": "/b/u", "work": "/b/w"}
    root = rootfs.mount_overlay(kernel, overlay, "/b/rootfs")

    created = next(call for call in kernel.calls if call[0] == "create")
    assert created[1:] == (
        "overlay",
        "lowerdir+=/l/top",
        "lowerdir+=/l/base",
        "upperdir=/b/u",
        "workdir=/b/w",
        "source=overlay",
    )
    assert kernel.mounts == [("overlay", "/b/rootfs")]
    assert set(kernel.open_fds) == {kernel.ROOT, root}


def test_the_marks_of_an_overlay_in_a_user_namespace_are_user_attributes() -> None:
    kernel = FakeKernel({"/rootfs": "directory"})
    overlay: rootfs.Overlay = {"lower": ["/l"], "upper": "/u", "work": "/w", "userxattr": True}
    rootfs.mount_overlay(kernel, overlay, "/rootfs")

    created = next(call for call in kernel.calls if call[0] == "create")
    assert "userxattr" in str(created)


def test_borrowed_devices_are_bound_and_not_made() -> None:
    kernel = FakeKernel({"/": "directory", "/dev": "directory"})
    devices = rootfs.Devices(defaults.default_devices(), are_borrowed=True)
    devices.perform(kernel, kernel.ROOT)

    assert devices.describe() == "borrow 6 nodes in /dev, and make the usual links"
    names = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")]
    assert kernel.mounts == [(name, name) for name in names]
    assert {kernel.kind_of(name) for name in names} == {"file"}


class OlderKernel(FakeKernel):
    """Before Linux 6.5: every parameter is taken, and the unknown refused at the end."""

    def fsconfig_flag(self, fs_fd: int, key: str) -> None:
        self._configured[fs_fd].append(key)

    def fsconfig_create(self, fs_fd: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self.open_fds[fs_fd])


class OldKernel(FakeKernel):
    """Linux 6.5: no parameter "lowerdir+"."""

    def fsconfig_string(self, fs_fd: int, key: str, value: str) -> None:
        if key == "lowerdir+":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), value)
        super().fsconfig_string(fs_fd, key, value)


@pytest.mark.parametrize("kind", [OldKernel, OlderKernel])
def test_an_older_kernel_gets_the_layers_by_number(kind: type[FakeKernel]) -> None:
    names = ("/rootfs", "/top", "/base", "/u", "/w")
    kernel = kind(dict.fromkeys(names, "directory"))
    overlay: rootfs.Overlay = {"lower": ["/top", "/base"], "upper": "/u", "work": "/w"}
    before = os.open(".", os.O_PATH)
    rootfs.mount_overlay(kernel, overlay, "/rootfs")
    os.fchdir(before)
    os.close(before)

    (call,) = [call for call in kernel.calls if call[0] == "mount"]
    assert call[:4] == ("mount", "overlay", "/rootfs", "overlay")
    assert str(call[5]).startswith("lowerdir=103:104,upperdir=105,workdir=106")
    assert sorted(kernel.open_fds.values()) == ["/", "/rootfs"]


def test_a_dangling_link_is_not_made_into_a_file_elsewhere() -> None:
    kernel = FakeKernel({"/etc": "directory", "/etc/hosts": "link:/gone/hosts"})
    for make in (make_file, make_directory):
        with pytest.raises(OSError, match="symbolic links"):
            make(kernel, kernel.ROOT, "/etc/hosts")

    assert kernel.kind_of("/gone/hosts") == ""
    assert kernel.open_fds == {kernel.ROOT: "/"}


def test_what_is_given_is_attached_in_place_of_what_the_spec_says() -> None:
    kernel = FakeKernel()
    given = kernel.open_tree(constants.AT_FDCWD, "/given", constants.OPEN_TREE_CLONE)
    for operation in plan_mounts(spec(), provided={"/dev/shm": given}):
        operation.perform(kernel, kernel.ROOT)

    assert ("/given", "/dev/shm") in kernel.mounts
    assert ("tmpfs", "/dev/shm") not in kernel.mounts
    assert kernel.open_fds == {kernel.ROOT: "/"}


def test_there_is_no_link_to_memory_that_the_kernel_does_not_show() -> None:
    assert perform(spec()).kind_of("/dev/core") == ""
    assert perform(spec(), {"/proc/kcore": "file"}).kind_of("/dev/core") == "link:/proc/kcore"
