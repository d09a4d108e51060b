"""The mounts of a container as a list of values: planned first, performed afterwards.

`plan_mounts` is pure; each operation can say what it is (`describe`) and do it (`perform`) through
a kernel that tests replace. Only the newer mount calls are used (fsopen(2) to move_mount(2)): a
mount is made while it is nowhere, and then attached to a descriptor, so that no path is resolved
twice. The order is the spec's; where it differs, the reason is beside it.
"""

from __future__ import annotations

import errno
import os
import stat

from dockerlab.kernel import constants
from dockerlab.runtime import rootfs
from dockerlab.runtime.copyup import copy_up
from dockerlab.runtime.inside import Held, make_directory, make_file, open_path
from dockerlab.runtime.protocol import StepFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from dockerlab.oci.runtimespec import Mount, Spec
    from dockerlab.runtime.inside import Kernel

    class Operation(Protocol):
        """One step of the plan."""

        step: str
        path: str

        def describe(self) -> str:
            """Return the step as a line of text."""

        def perform(self, kernel: Kernel, root_fd: int) -> None:
            """Do it, inside the root that `root_fd` has open."""


__all__ = [
    "Attach",
    "Bind",
    "CgroupFolders",
    "Filesystem",
    "parse_options",
    "plan_binds",
    "plan_cgroups",
    "plan_mounts",
]

# Options of mount(8) that are attributes of the mount: what to set, what to clear. mount_setattr(2)
_ATTRIBUTES = {
    "ro": (constants.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, constants.MOUNT_ATTR_RDONLY),
    "nosuid": (constants.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, constants.MOUNT_ATTR_NOSUID),
    "nodev": (constants.MOUNT_ATTR_NODEV, 0),
    "dev": (0, constants.MOUNT_ATTR_NODEV),
    "noexec": (constants.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, constants.MOUNT_ATTR_NOEXEC),
    "noatime": (constants.MOUNT_ATTR_NOATIME, constants.MOUNT_ATTR_ATIME),
    "relatime": (constants.MOUNT_ATTR_RELATIME, constants.MOUNT_ATTR_ATIME),
    "strictatime": (constants.MOUNT_ATTR_STRICTATIME, constants.MOUNT_ATTR_ATIME),
    "atime": (constants.MOUNT_ATTR_RELATIME, constants.MOUNT_ATTR_ATIME),
    "nodiratime": (constants.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, constants.MOUNT_ATTR_NODIRATIME),
}
_PROPAGATIONS = {
    "private": constants.MS_PRIVATE,
    "rprivate": constants.MS_PRIVATE,
    "slave": constants.MS_SLAVE,
    "rslave": constants.MS_SLAVE,
}
_SHARED = frozenset({"shared", "rshared"})
# Where a link of the image would move what protects the host, or what we make ourselves.
_NEVER_A_LINK = frozenset({"/proc", "/sys", "/dev"})


class Options:
    """The options of one mount, taken apart.

    Attributes
    ----------
    set_, clear, propagation : int
        For mount_setattr(2).
    recursive : bool
        ``rbind``.
    copies_up : bool
        ``tmpcopyup``: a new file system begins with what it covers.
    data : list of str
        The file system's own: ``size=64m``.
    """

    __slots__ = ("clear", "copies_up", "data", "propagation", "recursive", "set_")

    def __init__(self) -> None:
        self.set_ = 0
        self.clear = 0
        self.propagation = constants.MS_PRIVATE
        self.recursive = False
        self.copies_up = False
        self.data: list[str] = []


def parse_options(options: list[str], destination: str) -> Options:
    """Sort the options of mount(8) into attributes and the file system's own; the last one wins."""
    parsed = Options()
    for option in options:
        if option in _ATTRIBUTES:
            set_, clear = _ATTRIBUTES[option]
            parsed.set_ = parsed.set_ & ~clear | set_
            parsed.clear = parsed.clear & ~set_ | clear
        elif option in _PROPAGATIONS:
            parsed.propagation = _PROPAGATIONS[option]
        elif option in _SHARED:
            reason = f'"{option}" would let mounts of the container reach the host; use "rslave"'
            raise StepFailure(
                "mount", errno.EINVAL, destination, f'mount "{destination}": {reason}'
            )
        elif option in ("bind", "rbind"):
            parsed.recursive = option == "rbind"
        elif option == "tmpcopyup":
            parsed.copies_up = True
        elif option != "defaults":
            parsed.data.append(option)
    return parsed


class Filesystem:
    """A new file system: proc, sysfs, tmpfs, devpts, mqueue."""

    step = "mount"

    def __init__(self, kind: str, source: str, path: str, options: Options) -> None:
        self._kind = kind
        self._source = source
        self.path = path
        self._options = options

    def describe(self) -> str:
        """Return the step as a line of text."""
        return f"mount {self._kind} on {self.path} {','.join(self._options.data)}".rstrip()

    def perform(self, kernel: Kernel, root_fd: int) -> None:
        """Make the file system and attach it; the mount point is made where it is missing."""
        follow = self.path not in _NEVER_A_LINK
        try:
            options = self._options
            if self._kind == "tmpfs" and not any(each.startswith("mode=") for each in options.data):
                options = self._like_what_is_there(kernel, root_fd)
            target = make_directory(kernel, root_fd, self.path, follow=follow)
        except OSError as error:
            if error.errno == errno.ELOOP and not follow:
                reason = "the image has a symbolic link in its place"
                raise OSError(errno.ELOOP, reason, self.path) from error
            raise
        with (
            Held(kernel, target) as target_fd,
            Held(kernel, new_filesystem(kernel, self._kind, self._source, options)) as made,
        ):
            if self._options.copies_up:
                copy_up(kernel, target_fd, made)
            kernel.move_mount(made, target_fd)

    def _like_what_is_there(self, kernel: Kernel, root_fd: int) -> Options:
        """Return the options with the mode of the folder that will be covered, as runc does it."""
        try:
            fd = open_path(kernel, root_fd, self.path)
        except FileNotFoundError:
            return self._options
        with Held(kernel, fd):
            mode = stat.S_IMODE(kernel.fstat(fd).st_mode)
        options = Options()
        options.set_, options.clear = self._options.set_, self._options.clear
        options.copies_up = self._options.copies_up
        options.data = [*self._options.data, f"mode={mode:o}"]
        return options


def new_filesystem(kernel: Kernel, kind: str, source: str, options: Options) -> int:
    """Return a new file system that is mounted nowhere yet; the caller closes."""
    with Held(kernel, kernel.fsopen(kind)) as fs_fd:
        kernel.fsconfig_string(fs_fd, "source", source or kind)
        for option in options.data:
            key, equals, value = option.partition("=")
            if equals:
                kernel.fsconfig_string(fs_fd, key, value)
            else:
                kernel.fsconfig_flag(fs_fd, key)
        kernel.fsconfig_create(fs_fd)
        return kernel.fsmount(fs_fd, options.set_)


class Bind:
    """A file or directory of the host, seen at a path of the container."""

    step = "mount"

    def __init__(self, source: str, path: str, options: Options) -> None:
        self._source = source
        self.path = path
        self._options = options

    def describe(self) -> str:
        """Return the step as a line of text."""
        kind = "ro" if self._options.set_ & constants.MOUNT_ATTR_RDONLY else "rw"
        return f"bind {self._source} on {self.path} {kind}"

    def perform(self, kernel: Kernel, root_fd: int) -> None:
        """Attach a copy of the host's mount; the mount point is made where it is missing."""
        options = self._options
        flags = constants.OPEN_TREE_CLONE | (constants.AT_RECURSIVE if options.recursive else 0)
        with Held(kernel, kernel.open_tree(constants.AT_FDCWD, self._source, flags)) as tree_fd:
            kernel.mount_setattr(
                tree_fd, options.set_, options.clear, options.propagation, recursive=True
            )
            is_directory = rootfs.is_directory(kernel, tree_fd)
            make = make_directory if is_directory else make_file
            with Held(kernel, make(kernel, root_fd, self.path)) as target_fd:
                if rootfs.is_directory(kernel, target_fd) != is_directory:
                    reason = "a folder is mounted onto a file, or a file onto a folder"
                    raise OSError(errno.ENOTDIR, reason, self.path)
                kernel.move_mount(tree_fd, target_fd)


class Attach:
    """A mount that somebody has given us as a descriptor."""

    step = "mount"

    def __init__(self, path: str, mount_fd: int) -> None:
        self.path = path
        self._mount_fd = mount_fd

    def describe(self) -> str:
        """Return the step as a line of text."""
        return f"attach what was given on {self.path}"

    def perform(self, kernel: Kernel, root_fd: int) -> None:
        """Attach it; the descriptor is closed."""
        with (
            Held(kernel, self._mount_fd) as mount_fd,
            Held(kernel, make_directory(kernel, root_fd, self.path)) as target_fd,
        ):
            kernel.mount_setattr(mount_fd, 0, 0, constants.MS_PRIVATE, recursive=False)
            kernel.move_mount(mount_fd, target_fd)


class CgroupFolders:
    """The container's own cgroup folders, as it sees them: one, or one for each hierarchy.

    Parameters
    ----------
    folders : list of (str, str)
        Name below the mount point ("" for cgroup v2) and the folder on the host.
    """

    step = "mount"

    def __init__(self, path: str, options: Options, folders: list[list[str]]) -> None:
        self.path = path
        self._options = options
        self._folders = folders

    def describe(self) -> str:
        """Return the step as a line of text."""
        return f"bind {len(self._folders)} cgroup folders on {self.path}"

    def perform(self, kernel: Kernel, root_fd: int) -> None:
        """Bind each folder; with several, into a tmpfs that becomes read-only behind them."""
        options = self._options
        if [name for name, _ in self._folders] != [""]:
            writable = Options()
            writable.set_ = options.set_ & ~constants.MOUNT_ATTR_RDONLY
            writable.data = ["mode=755"]
            Filesystem("tmpfs", "tmpfs", self.path, writable).perform(kernel, root_fd)
        for name, folder in self._folders:
            bound = f"{self.path}/{name}" if name else self.path
            Bind(folder, bound, options).perform(kernel, root_fd)
        with Held(kernel, make_directory(kernel, root_fd, self.path)) as here:
            kernel.mount_setattr(here, options.set_, options.clear, 0, recursive=False)


def plan_mounts(
    spec: Spec, *, has_borrowed_devices: bool = False, provided: dict[str, int] | None = None
) -> list[Operation]:
    """Return everything that is to be mounted, made and masked inside the root, in order.

    Parameters
    ----------
    has_borrowed_devices : bool
        Device nodes are the host's, for in a user namespace none may be made.
    provided : dict of str to int, optional
        Destination -> a mount that is there already, taken in place of what the spec says.

    Not in it: the cgroup folders, which exist only when the monitor has made them
    (`plan_cgroups`), and the root itself (`rootfs.mount_overlay`).
    """
    linux = spec.get("linux", {})
    plan: list[Operation] = []
    for mount in spec["mounts"]:
        if mount["type"] == "cgroup":
            continue
        if provided and mount["destination"] in provided:
            plan.append(Attach(mount["destination"], provided[mount["destination"]]))
            continue
        plan.append(_plan_mount(mount))
        if mount["destination"] == "/dev" and isinstance(plan[-1], Filesystem):
            # A folder of the host that stands there instead is left as it is.
            # At once: what is mounted below /dev afterwards must find our own directory.
            devices = linux.get("devices", [])
            plan.append(rootfs.Devices(devices, are_borrowed=has_borrowed_devices))
    # Before /proc/sys is read-only.
    plan += [rootfs.Sysctl(key, value) for key, value in linux.get("sysctl", {}).items()]
    plan += [rootfs.ReadonlyPath(path) for path in linux.get("readonlyPaths", [])]
    plan += [rootfs.MaskedPath(path) for path in linux.get("maskedPaths", [])]
    return plan


def plan_binds(mounts: list[Mount]) -> list[Operation]:
    """Return the binds among some mounts, for a root that nothing runs in."""
    plan = [_plan_mount(mount) for mount in mounts]
    return [operation for operation in plan if isinstance(operation, Bind)]


def plan_cgroups(spec: Spec, folders: list[list[str]]) -> list[Operation]:
    """Return the mount of the cgroup folders, if the spec asks for it and there are any."""
    return [
        CgroupFolders(
            mount["destination"],
            parse_options(mount.get("options", []), mount["destination"]),
            folders,
        )
        for mount in spec["mounts"]
        if mount["type"] == "cgroup" and folders
    ]


def _plan_mount(mount: Mount) -> Operation:
    destination = os.path.normpath(mount["destination"])
    options = mount.get("options", [])
    parsed = parse_options(options, destination)
    if mount["type"] == "bind" or "bind" in options or "rbind" in options:
        return Bind(mount["source"], destination, parsed)
    return Filesystem(mount["type"], mount["source"], destination, parsed)
