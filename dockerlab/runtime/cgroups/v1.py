"""cgroup v1: one folder for each controller, each its own mount.

Not here: the unified tree (`v2`). Reading order: `V1Tree`, then one ``_limit_*`` function for each
controller. See cgroups(7) and Documentation/admin-guide/cgroup-v1 of the kernel.
"""

import errno
import os

from dockerlab.runtime.cgroups import blockio, folder
from dockerlab.runtime.cgroups.folder import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.oci.runtimespec import BlockIO, Cpu, DeviceRule, Memory, Resources

__all__ = ["V1Tree"]

_NO_LIMIT = -1


class V1Tree:
    """The hierarchies of v1.

    A container joins only those hierarchies that it needs, because attaching a process from outside
    is the slow part: each waits for an RCU grace period, a quarter of a millisecond at best and ten
    as a rule, while a folder costs a tenth of one. (A process that joins by itself does not wait:
    see `join`.) Needed are

    * ``devices``, always: it is what makes a device node from mknod useless;
    * ``memory``, ``cpu``, ``pids``, ``cpuset``, ``blkio`` when there is a limit of theirs, be it
      from the start or by `update`;
    * ``freezer`` when the container is paused for the first time (`freeze`). Killing does without:
      the kernel kills a pid namespace with its PID 1, and `kill` is for what is left after that.

    Parameters
    ----------
    controllers : dict of str to str
        Mount point of each controller.
    """

    version = 1

    CONTROLLERS = frozenset(
        {"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"}
    )

    def __init__(self, controllers: dict[str, str]) -> None:
        self._mount_points = controllers

    def create(self, path: str, resources: "Resources") -> None:
        """Make a container's folders and write its limits.

        Parameters
        ----------
        path : str
            As the spec's ``linux.cgroupsPath``.
        resources : Resources
            As the spec's ``linux.resources``.

        Raises
        ------
        CgroupError
            When a limit cannot be set; nothing is left behind then.
        """
        try:
            if "devices" in resources:
                # Also without rules: the folder is how the processes are found again.
                self._set_devices(path, resources["devices"])
            self._write_limits(path, resources)
        except CgroupError:
            self.remove(path)
            raise
        if "devices" not in resources:
            # Without root: only who joins by itself gets in, so not later, for `freeze`.
            self._make_freezer_if_allowed(path)

    def update(self, path: str, resources: "Resources") -> None:
        """Write limits of a container that runs; devices are left as they are.

        The container enters the hierarchies that it did not need before. What it has in memory by
        then stays counted where it was.

        Raises
        ------
        CgroupError
            When a limit cannot be set: EBUSY when more memory is in use than shall be allowed.
        """
        inside = self.processes(path)
        before = self._folders(path)
        self._write_limits(path, resources)
        for each in self._folders(path):
            if each not in before:
                for pid in inside:
                    _move_if_alive(each, pid)

    def join(self, path: str, pid: int) -> None:
        """Move a process into the container's folders.

        Parameters
        ----------
        path : str
            As for `create`.
        pid : int
            0 is the process that calls, which must have one thread only. That is the quick way:
            nobody can be forking or executing meanwhile, so since Linux 5.5 the kernel takes no
            lock of all processes for it, a tenth of a millisecond against ten.

        Raises
        ------
        CgroupError
            When the kernel refuses.
        """
        # `tasks` moves a thread and `cgroup.procs` all of a process, under the lock.
        name = "cgroup.procs" if pid else "tasks"
        for each in self._folders(path):
            folder.write(each, name, str(pid), "move a process")

    def visible(self, path: str) -> list[list[str]]:
        """Return name and folder of each hierarchy that the container has, to be shown to it."""
        # A hierarchy is named by its mount point: "cpu,cpuacct" where those two share one.
        return [
            [os.path.basename(each.removesuffix(path.rstrip("/"))), each]
            for each in self._folders(path)
        ]

    def processes(self, path: str) -> list[int]:
        """Return the pids of a container, as this pid namespace sees them."""
        return sorted({pid for each in self._folders(path) for pid in folder.processes(each)})

    def oom_kills(self, path: str) -> int:
        """Return how many processes the kernel killed because the memory limit was reached.

        0 without a limit: then the container is not in the memory hierarchy, and no limit of its
        own can be reached. Since Linux 4.13.
        """
        if "memory" not in self._mount_points:
            return 0
        return folder.read_counter(self._folder(path, "memory"), "memory.oom_control", "oom_kill")

    def watch_oom(self, path: str) -> int:
        """Return a descriptor that is readable whenever the memory limit was hit; -1 without one.

        It is an eventfd, which counts; see "Usage of eventfd" in cgroup-v1/memory.rst.
        """
        made = self.folder(path, "memory")
        if not made:
            return -1
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        control = os.open(f"{made}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            folder.write(made, "cgroup.event_control", f"{event} {control}", "watch memory")
        except CgroupError:
            os.close(event)
            raise
        finally:
            os.close(control)
        return event

    def freeze(self, path: str) -> None:
        """Stop every process of a container from running; returns when none does.

        Raises
        ------
        CgroupError
            Without a freezer, or when a process cannot be moved or does not stop.
        """
        frozen = self._made(path, "freezer")
        # FROZEN before anybody is inside: whoever joins stops at once, so that each round of the
        # loop has fewer processes that could fork while they are moved.
        folder.write(frozen, "freezer.state", "FROZEN", "pause")
        while outside := set(self.processes(path)) - set(folder.processes(frozen)):
            for pid in outside:
                _move_if_alive(frozen, pid)
        folder.wait_for(lambda: self.is_frozen(path), "pause", frozen)

    def is_frozen(self, path: str) -> bool:
        """Tell whether every process of a container is stopped."""
        frozen = self.folder(path, "freezer")
        return bool(frozen) and folder.read(frozen, "freezer.state").strip() == "FROZEN"

    def thaw(self, path: str) -> None:
        """Let the processes of a container run again; fine when they already do."""
        frozen = self._folder(path, "freezer") if "freezer" in self._mount_points else ""
        if frozen and os.path.isdir(frozen):
            folder.write(frozen, "freezer.state", "THAWED", "resume")

    def kill(self, path: str) -> None:
        """Kill every process of a container and wait until they are gone.

        Raises
        ------
        CgroupError
            EBUSY when some do not die within two seconds.
        """
        # A frozen process dies only when it is thawed.
        self.thaw(path)
        for each in self._folders(path):
            folder.kill_all(each)

    def remove(self, path: str) -> None:
        """Remove a container's folders; fine when there are none.

        Raises
        ------
        CgroupError
            EBUSY when a process is still inside after two seconds.
        """
        for each in self._folders(path):
            folder.remove(each)

    def folder(self, path: str, controller: str) -> str:
        """Return the folder that a container has for a controller, "" when it has none."""
        if controller not in self._mount_points:
            return ""
        found = self._folder(path, controller)
        return found if os.path.isdir(found) else ""

    def mount_point(self, controller: str) -> str:
        """Return where a controller is mounted, "" when it is not."""
        return self._mount_points.get(controller, "")

    def _folder(self, path: str, controller: str) -> str:
        return f"{self._mount_points[controller]}/{path.strip('/')}"

    def _folders(self, path: str) -> list[str]:
        """Return the folders that the container has; controllers mounted together share one."""
        folders = dict.fromkeys(self._folder(path, each) for each in sorted(self._mount_points))
        return [each for each in folders if os.path.isdir(each)]

    def _made(self, path: str, controller: str) -> str:
        if controller not in self._mount_points:
            raise CgroupError(
                errno.ENODEV,
                f'the cgroup controller "{controller}" is not there, so its limit cannot be set;'
                " leave the limit out, or enable the controller in the kernel",
                path,
            )
        made = self._folder(path, controller)
        folder.make(made)
        return made

    def _make_freezer_if_allowed(self, path: str) -> None:
        try:
            self._made(path, "freezer")
        except CgroupError:
            return  # Then this container cannot be paused, which `freeze` will say.

    def _write_limits(self, path: str, resources: "Resources") -> None:
        self._set_memory(path, resources.get("memory", {}))
        self._set_cpu(path, resources.get("cpu", {}))
        self._set_block_io(path, resources.get("blockIO", {}))
        pids = resources.get("pids", {"limit": 0})["limit"]
        if pids:
            value = str(pids) if pids > 0 else "max"
            folder.write(self._made(path, "pids"), "pids.max", value, "limit processes")

    def _set_devices(self, path: str, rules: "list[DeviceRule]") -> None:
        made = self._made(path, "devices")
        for rule in rules:
            name = "devices.allow" if rule["allow"] else "devices.deny"
            folder.write(made, name, _device_entry(rule), "set a device rule")

    def _set_memory(self, path: str, memory: "Memory") -> None:
        if not memory:
            return
        made = self._made(path, "memory")
        limit, swap = memory.get("limit", 0), memory.get("swap", 0)
        limits = [
            ("memory.limit_in_bytes", limit, "limit memory"),
            ("memory.memsw.limit_in_bytes", swap, "limit memory and swap"),
        ]
        # The kernel wants limit <= sum at any moment, and a new folder starts with both unlimited.
        if swap and (swap == _NO_LIMIT or limit > _memory_and_swap(made)):
            limits.reverse()
        limits.append(
            ("memory.soft_limit_in_bytes", memory.get("reservation", 0), "reserve memory")
        )
        for name, value, purpose in limits:
            if value:
                folder.write(made, name, str(value), purpose)
        if "swappiness" in memory:
            swappiness = str(memory["swappiness"])
            folder.write(made, "memory.swappiness", swappiness, "set the swappiness")
        if memory.get("disableOOMKiller"):
            folder.write(made, "memory.oom_control", "1", "disable the OOM killer")

    def _set_block_io(self, path: str, block: "BlockIO") -> None:
        if not block:
            return
        made = self._made(path, "blkio")
        for name, value, purpose in blockio.v1_settings(made, block):
            folder.write(made, name, value, purpose)

    def _set_cpu(self, path: str, cpu: "Cpu") -> None:
        # The period first: the kernel checks the quota against it.
        for name, value, purpose in (
            ("cpu.shares", cpu.get("shares", 0), "set the CPU shares"),
            ("cpu.cfs_period_us", cpu.get("period", 0), "set the CPU period"),
            ("cpu.cfs_quota_us", cpu.get("quota", 0), "limit CPU time"),
        ):
            if value:
                folder.write(self._made(path, "cpu"), name, str(value), purpose)
        if cpu.get("cpus") or cpu.get("mems"):
            self._set_cpuset(path, cpu)

    def _set_cpuset(self, path: str, cpu: "Cpu") -> None:
        made = self._made(path, "cpuset")
        # A new cpuset is empty and takes no process, and a child cannot have what its parent has
        # not: what is not asked for is copied down from the root.
        here = self._mount_points["cpuset"]
        for part in path.strip("/").split("/"):
            parent, here = here, f"{here}/{part}"
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not folder.read(here, name).strip():
                    inherited = folder.read(parent, name).strip()
                    folder.write(here, name, inherited, "inherit the CPU set")
        for name, value in (("cpuset.cpus", cpu.get("cpus")), ("cpuset.mems", cpu.get("mems"))):
            if value:
                folder.write(made, name, value, "choose CPUs")


def _move_if_alive(into: str, pid: int) -> None:
    try:
        folder.write(into, "cgroup.procs", str(pid), "move a process")
    except CgroupError as error:
        if error.errno != errno.ESRCH:
            raise


def _memory_and_swap(made: str) -> int:
    return int(folder.read(made, "memory.memsw.limit_in_bytes"))


def _device_entry(rule: "DeviceRule") -> str:
    """Return a rule in the words of devices.allow: type, numbers, access.

    See cgroup-v1/devices.rst.
    """
    kind = rule.get("type", "a")
    major, minor = (_number_or_all(rule.get(key)) for key in ("major", "minor"))
    return f"{kind} {major}:{minor} {rule.get('access', 'rwm')}"


def _number_or_all(number: object) -> str:
    return "*" if number is None or number == _NO_LIMIT else str(number)
