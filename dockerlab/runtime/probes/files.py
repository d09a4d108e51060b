"""Probes of file systems: overlays, attributes, the data root, /dev/shm, the new mount calls."""

import errno
import os
import shutil
import stat

from dockerlab.kernel import constants, syscalls
from dockerlab.runtime.probes.asking import Finding, Host, Refused, doing
from dockerlab.runtime.probes.namespaces import become_root_inside, has_sys_admin, new_mounts
from dockerlab.runtime.rootfs import takes_lower_folders

__all__ = [
    "data_root",
    "lower_folders",
    "mount_calls",
    "overlay",
    "overlay_in_user_namespace",
    "shared_memory",
    "space",
    "trusted_attributes",
    "user_attributes",
]

# What a few images of everyday size need.
MIN_FREE_BYTES = 512 << 20
_SHM = "/dev/shm"  # noqa: S108 - it is what is asked for


def _workspace(host: Host, name: str) -> str:
    folder = os.path.join(host.scratch, name)
    with doing(f'writing in "{host.folder}"'):
        os.makedirs(folder, mode=0o700)
    return folder


def data_root(host: Host) -> Finding:
    """Write a file where the data root is or would be, flush it and rename it."""
    folder = _workspace(host, "data-root")
    with doing(f'writing in "{host.folder}"'):
        fd = os.open(f"{folder}/new", os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(fd, b"probe")
        os.fsync(fd)
        os.rename(f"{folder}/new", f"{folder}/file")
    kind = _file_system(host.folder)
    return Finding(f'"{host.folder}" is on {kind}', {"file_system": kind})


def space(host: Host) -> Finding:
    """Count what is free on the data root's file system, in bytes and in files."""
    with doing(f'statvfs("{host.folder}")'):
        found = os.statvfs(host.folder)
    free = found.f_bavail * found.f_frsize
    facts = {"free_bytes": free}
    # File systems without a table of inodes say 0 of 0.
    if found.f_files and not found.f_favail:
        raise Refused("no file can be made any more: its inodes are used up", errno.ENOSPC, **facts)
    text = f"{free / 1e9:.1f} GB are free"
    if free < MIN_FREE_BYTES and found.f_blocks:
        raise Refused(f"only {text}", errno.ENOSPC, **facts)
    return Finding(text, facts)


def user_attributes(host: Host) -> Finding:
    """Give a file of the data root an attribute that every user may set: xattr(7)."""
    return _attribute(host, "user.dockerlab")


def trusted_attributes(host: Host) -> Finding:
    """Give a file of the data root an attribute of root's, as overlays keep their marks in."""
    return _attribute(host, "trusted.dockerlab")


def _attribute(host: Host, name: str) -> Finding:
    file = os.path.join(_workspace(host, name), "file")
    with doing(f'writing in "{host.folder}"'):
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    kind = name.partition(".")[0]
    with doing(f"setxattr({kind}.*) on {_file_system(host.folder)}"):
        os.setxattr(file, name, b"probe")
    return Finding(f"{kind}.* can be set")


def overlay(host: Host) -> Finding:
    """Mount an overlay as root and delete in it: the marks go into trusted.* attributes."""
    if not has_sys_admin():
        raise Refused("only root with CAP_SYS_ADMIN mounts one without a user namespace")
    new_mounts()
    return _overlay(_workspace(host, "overlay"), in_user_namespace=False)


def overlay_in_user_namespace(host: Host) -> Finding:
    """Mount an overlay in a user namespace: the marks go into user.* attributes (Linux 5.11)."""
    folder = _workspace(host, "overlay-user")
    become_root_inside(always=True)
    new_mounts()
    return _overlay(folder, in_user_namespace=True)


def _overlay(folder: str, *, in_user_namespace: bool) -> Finding:
    os.chdir(folder)
    for name in ("lower/folder/old", "upper", "work", "merged"):
        os.makedirs(name)
    os.close(os.open("lower/file", os.O_CREAT | os.O_WRONLY, 0o600))
    kind = _file_system(folder)
    with doing(f"mounting an overlay on {kind}"):
        fs_fd = syscalls.fsopen("overlay")
        for key, value in (("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")):
            syscalls.fsconfig_string(fs_fd, key, value)
        # Its end must not wait until everything on the data root's file system is on the disk.
        syscalls.fsconfig_flag(fs_fd, "volatile")
        if in_user_namespace:
            syscalls.fsconfig_flag(fs_fd, "userxattr")
        syscalls.fsconfig_create(fs_fd)
        mount_fd = syscalls.fsmount(fs_fd, 0)
        syscalls.move_mount(mount_fd, os.open("merged", os.O_PATH | os.O_DIRECTORY))
    with doing("deleting a file in an overlay"):
        os.unlink("merged/file")
    with doing("replacing a folder in an overlay"):
        shutil.rmtree("merged/folder")
        os.mkdir("merged/folder")
    if not stat.S_ISCHR(os.lstat("upper/file").st_mode) or os.listdir("merged/folder"):
        raise Refused("what is deleted in an overlay comes back")
    return Finding("files were deleted and folders replaced in it")


def mount_calls(_host: Host) -> Finding:
    """Mount by fsopen(2), fsmount(2) and move_mount(2), as the runtime does: Linux 5.2."""
    become_root_inside()
    new_mounts()
    target = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    with doing("fsopen"):
        fs_fd = syscalls.fsopen("tmpfs")
    with doing("fsconfig"):
        syscalls.fsconfig_create(fs_fd)
    with doing("fsmount"):
        mount_fd = syscalls.fsmount(fs_fd, 0)
    with doing("mount_setattr"):
        flags = constants.MOUNT_ATTR_NOSUID
        syscalls.mount_setattr(mount_fd, flags, 0, 0, recursive=False)
    with doing("move_mount"):
        syscalls.move_mount(mount_fd, target)
    return Finding("fsopen, fsmount, mount_setattr and move_mount work")


def lower_folders(host: Host) -> Finding:
    """Name the lower folders of an overlay one by one."""
    folder = _workspace(host, "lower")
    become_root_inside()
    new_mounts()
    with doing("fsopen"):
        fs_fd = syscalls.fsopen("overlay")
    with doing("fsconfig(lowerdir+)"):
        if not takes_lower_folders(syscalls, fs_fd, [folder]):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return Finding("lowerdir+ is known: any number of layers")


def shared_memory(_host: Host) -> Finding:
    """Write to /dev/shm, where programs of Python and databases share memory."""
    name = os.path.join(_SHM, f"dockerlab-probe-{os.getpid()}")
    with doing(f'writing in "{_SHM}"'):
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        with doing(f'writing in "{_SHM}"'):
            os.write(fd, b"probe")
        if syscalls.filesystem_type(fd) != constants.TMPFS_MAGIC:
            raise Refused(f'"{_SHM}" is not in memory')
    finally:
        os.unlink(name)
    return Finding("it is there, in memory")


def _file_system(folder: str) -> str:
    """Return the type of the file system that a folder is on: proc_pid_mountinfo(5)."""
    device = os.stat(folder).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if before.split(" ")[2] == wanted:
                return after.split(" ")[0]
    return "an unknown file system"
