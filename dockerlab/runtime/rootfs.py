"""The root of a container: overlay, /dev, masked and read-only paths, pivot_root.

Reading order: `mount_overlay`, then the operations of the plan (`Devices`, `Sysctl`,
`ReadonlyPath`, `MaskedPath`), then `pivot`. What is mounted where is `runtime.mounts`.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime.inside import Held, make_directory, make_file, open_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    from dockerlab.oci.runtimespec import Device
    from dockerlab.runtime.inside import Kernel

    class Overlay(TypedDict):
        """The folders of an overlay; `lower` has the top layer first.

        With `userxattr` its marks are attributes that a user namespace may write (since Linux
        5.11).
        """

        lower: list[str]
        upper: str
        work: str
        userxattr: NotRequired[bool]


__all__ = [
    "Devices",
    "MaskedPath",
    "ReadonlyPath",
    "Sysctl",
    "bind_folder",
    "is_directory",
    "mount_overlay",
    "pivot",
    "takes_lower_folders",
]

_NULL_DEVICE = os.makedev(1, 3)
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR})
_DEFAULT_DEVICE_MODE = 0o666
_DEVICE_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
# Not every kernel has it, and where it is missing neither runc nor Docker makes the link.
_CORE = "/proc/kcore"
# config-linux.md#default-devices, and Docker's /dev/core.
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", _CORE),
)
# Read-only and empty: what a masked directory shows.
_MASK_ATTRIBUTES = (
    constants.MOUNT_ATTR_RDONLY
    | constants.MOUNT_ATTR_NOSUID
    | constants.MOUNT_ATTR_NODEV
    | constants.MOUNT_ATTR_NOEXEC
)


def is_directory(kernel: Kernel, fd: int) -> bool:
    """Tell whether `fd` has a directory open."""
    return stat.S_ISDIR(kernel.fstat(fd).st_mode)


def mount_overlay(kernel: Kernel, overlay: Overlay, mount_point: str) -> int:
    """Mount the layers on `mount_point` and return the new root; the caller closes.

    Notes
    -----
    Where lower folders are no parameters of their own, all of them share one page of options, so
    they are named by the short numbers of their descriptors. overlayfs.rst
    """
    flags = os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY
    with Held(kernel, kernel.openat2(constants.AT_FDCWD, mount_point, flags, 0)) as target_fd:
        fs_fd = kernel.fsopen("overlay")
        with Held(kernel, fs_fd):
            if not takes_lower_folders(kernel, fs_fd, overlay["lower"]):
                return _mount_overlay_in_one_page(kernel, overlay, mount_point)
            kernel.fsconfig_string(fs_fd, "upperdir", overlay["upper"])
            kernel.fsconfig_string(fs_fd, "workdir", overlay["work"])
            kernel.fsconfig_string(fs_fd, "source", "overlay")
            if overlay.get("userxattr", False):
                kernel.fsconfig_flag(fs_fd, "userxattr")
            kernel.fsconfig_create(fs_fd)
            root_fd = kernel.fsmount(fs_fd, 0)
        kernel.move_mount(root_fd, target_fd)
    return root_fd


def takes_lower_folders(kernel: Kernel, fs_fd: int, lower: list[str]) -> bool:
    """Name the lower folders of an overlay one by one, top first; tell whether that is possible.

    Notes
    -----
    Before Linux 6.5 an overlay takes every parameter, refuses the unknown ones when it is made, and
    then complains in the kernel's log. So a bad one is tried first: a folder without a name.
    """
    try:
        kernel.fsconfig_flag(fs_fd, "lowerdir+")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    else:
        return False
    try:
        for folder in lower:
            kernel.fsconfig_string(fs_fd, "lowerdir+", folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def _mount_overlay_in_one_page(kernel: Kernel, overlay: Overlay, mount_point: str) -> int:
    flags = os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY
    paths = [*overlay["lower"], overlay["upper"], overlay["work"]]
    fds = [kernel.openat2(constants.AT_FDCWD, path, flags, 0) for path in paths]
    *lower, upper, work = (str(fd) for fd in fds)
    # Relative names: the kernel resolves them as we do, and absolute ones would fill the page.
    os.chdir("/proc/self/fd")
    data = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"
    data += ",userxattr" if overlay.get("userxattr", False) else ""
    kernel.mount("overlay", mount_point, "overlay", 0, data)
    os.chdir("/")
    for fd in fds:
        kernel.close(fd)
    return kernel.openat2(constants.AT_FDCWD, mount_point, flags, 0)


def bind_folder(kernel: Kernel, folder: str) -> int:
    """Make a folder of the host a mount of its own, and return it as a root; the caller closes.

    It keeps what is mounted below it; what is mounted there later on the host does not come.
    """
    flags = os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY
    with Held(kernel, kernel.openat2(constants.AT_FDCWD, folder, flags, 0)) as target_fd:
        root_fd = kernel.open_tree(
            target_fd, "", constants.OPEN_TREE_CLONE | constants.AT_RECURSIVE
        )
        kernel.mount_setattr(root_fd, 0, 0, constants.MS_PRIVATE, recursive=True)
        kernel.move_mount(root_fd, target_fd)
    return root_fd


class Devices:
    """The nodes and links of /dev, made in the tmpfs that was just mounted there."""

    step = "device"
    path = "/dev"

    def __init__(self, devices: list[Device], *, are_borrowed: bool) -> None:
        self._devices = devices
        self._are_borrowed = are_borrowed

    def describe(self) -> str:
        """Return the step as a line of text."""
        verb = "borrow" if self._are_borrowed else "make"
        return f"{verb} {len(self._devices)} nodes in /dev, and make the usual links"

    def perform(self, kernel: Kernel, root_fd: int) -> None:
        """Make them; the nodes are the host's own, bound, where none may be made."""
        provide = self._borrow_node if self._are_borrowed else self._make_node
        for device in self._devices:
            provide(kernel, root_fd, device)
        with Held(kernel, open_path(kernel, root_fd, self.path, follow=False)) as dev_fd:
            for name, text in _LINKS:
                if text != _CORE or _is_there(kernel, root_fd, text):
                    kernel.symlinkat(text, dev_fd, name)

    def _make_node(self, kernel: Kernel, root_fd: int, device: Device) -> None:
        parent, name = os.path.split(os.path.normpath(device["path"]))
        mode = _DEVICE_KINDS[device["type"]] | device.get("fileMode", _DEFAULT_DEVICE_MODE)
        number = os.makedev(device.get("major", 0), device.get("minor", 0))
        uid, gid = device.get("uid", 0), device.get("gid", 0)
        with Held(kernel, make_directory(kernel, root_fd, parent)) as parent_fd:
            try:
                kernel.mknodat(parent_fd, name, mode, number)
            except FileExistsError:
                if not _is_device(kernel, parent_fd, name, stat.S_IFMT(mode), number):
                    raise
            if uid or gid:
                kernel.chownat(parent_fd, name, uid, gid)

    def _borrow_node(self, kernel: Kernel, root_fd: int, device: Device) -> None:
        path = os.path.normpath(device["path"])
        flags = constants.OPEN_TREE_CLONE
        with (
            Held(kernel, kernel.open_tree(constants.AT_FDCWD, path, flags)) as node_fd,
            Held(kernel, make_file(kernel, root_fd, path)) as target_fd,
        ):
            kernel.move_mount(node_fd, target_fd)


class Sysctl:
    """A kernel parameter of the container's own namespaces."""

    step = "sysctl"

    def __init__(self, key: str, value: str) -> None:
        self.path = key
        self._value = value

    def describe(self) -> str:
        """Return the step as a line of text."""
        return f"set {self.path} to {self._value}"

    def perform(self, kernel: Kernel, root_fd: int) -> None:
        """Write it below the container's /proc/sys."""
        path = f"/proc/sys/{self.path.replace('.', '/')}"
        fd = open_path(kernel, root_fd, path, follow=False, flags=os.O_WRONLY)
        with Held(kernel, fd):
            kernel.write(fd, self._value.encode())


class ReadonlyPath:
    """A path that can be read but not written, with everything below it."""

    step = "mask"

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> str:
        """Return the step as a line of text."""
        return f"make {self.path} read-only"

    def perform(self, kernel: Kernel, root_fd: int) -> None:
        """Attach a read-only copy of the path to itself; a path that is not there needs nothing."""
        target_fd = _open_if_there(kernel, root_fd, self.path)
        if target_fd is None:
            return
        flags = constants.OPEN_TREE_CLONE | constants.AT_RECURSIVE
        with (
            Held(kernel, target_fd),
            Held(kernel, kernel.open_tree(target_fd, "", flags)) as tree_fd,
        ):
            kernel.mount_setattr(tree_fd, constants.MOUNT_ATTR_RDONLY, 0, 0, recursive=True)
            kernel.move_mount(tree_fd, target_fd)


class MaskedPath:
    """A path that shows nothing: /dev/null over a file, an empty directory over a directory."""

    step = "mask"

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> str:
        """Return the step as a line of text."""
        return f"mask {self.path}"

    def perform(self, kernel: Kernel, root_fd: int) -> None:
        """Cover it; a path that is not there needs nothing."""
        target_fd = _open_if_there(kernel, root_fd, self.path)
        if target_fd is None:
            return
        with Held(kernel, target_fd):
            cover = _empty_directory if is_directory(kernel, target_fd) else _null_device
            with Held(kernel, cover(kernel, root_fd)) as mount_fd:
                kernel.move_mount(mount_fd, target_fd)


def _is_device(kernel: Kernel, parent_fd: int, name: str, kind: int, number: int) -> bool:
    """Tell whether the device is there already: outside /dev it is, from the second start on."""
    fd = open_path(kernel, parent_fd, name, follow=False)
    with Held(kernel, fd):
        found = kernel.fstat(fd)
    return stat.S_IFMT(found.st_mode) == kind and found.st_rdev == number


def _open_if_there(kernel: Kernel, root_fd: int, path: str) -> int | None:
    try:
        return open_path(kernel, root_fd, path)
    except OSError as error:
        if error.errno in _MISSING:
            return None
        raise


def _is_there(kernel: Kernel, root_fd: int, path: str) -> bool:
    fd = _open_if_there(kernel, root_fd, path)
    if fd is not None:
        kernel.close(fd)
    return fd is not None


def _empty_directory(kernel: Kernel, _root_fd: int) -> int:
    with Held(kernel, kernel.fsopen("tmpfs")) as fs_fd:
        kernel.fsconfig_string(fs_fd, "size", "0")
        kernel.fsconfig_create(fs_fd)
        return kernel.fsmount(fs_fd, _MASK_ATTRIBUTES)


def _null_device(kernel: Kernel, root_fd: int) -> int:
    with Held(kernel, open_path(kernel, root_fd, "/dev/null", follow=False)) as null_fd:
        # A spec without /dev would leave the image's own file here (CVE-2025-31133).
        found = kernel.fstat(null_fd)
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _NULL_DEVICE:
            raise OSError(errno.EINVAL, "not the null device", "/dev/null")
        return kernel.open_tree(null_fd, "", constants.OPEN_TREE_CLONE)


def pivot(root_fd: int) -> None:
    """Make the directory the root and let the host's files go. pivot_root(2).

    Afterwards no path and no descriptor of this process leads to the host's files.
    """
    os.fchdir(root_fd)
    syscalls.pivot_root(".", ".")
    # The old root now lies over the new one, at ".": this detaches it with all that is below it.
    syscalls.umount(".", constants.MNT_DETACH)
    os.chdir("/")
