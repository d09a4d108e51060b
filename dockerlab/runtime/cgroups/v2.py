"""cgroup v2: one folder for everything.

Not here: the hierarchies of v1 (`v1`) and the program that decides on devices (`devicefilter`).
See cgroups(7) and Documentation/admin-guide/cgroup-v2.rst of the kernel.
"""

import errno
import os

from dockerlab.runtime.cgroups import blockio, devicefilter, folder
from dockerlab.runtime.cgroups.delegation import delegate
from dockerlab.runtime.cgroups.folder import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerlab.oci.runtimespec import Cpu, Memory, Resources

__all__ = ["V2Tree", "cpu_weight", "swap_alone"]

_NO_LIMIT = -1


# The smallest and the largest of cpu.shares (v1), and the largest cpu.weight (v2).
_SHARES_MIN = 2
_SHARES_MAX = 262_144
_WEIGHT_MAX = 10_000


# The scheduler's own period, for a quota without one.
_DEFAULT_PERIOD_US = 100_000


class V2Tree:
    """The unified tree.

    Parameters
    ----------
    mount_point : str
        Where it is mounted.
    """

    version = 2

    def __init__(self, mount_point: str) -> None:
        self._mount_point = mount_point

    def create(self, path: str, resources: "Resources") -> None:
        """Make a container's folder, enable the controllers that it needs, write its limits.

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
            self._write_limits(path, resources)
            if rules := resources.get("devices", []):
                devicefilter.attach(self._folder(path), rules)
        except CgroupError:
            self.remove(path)
            raise

    def update(self, path: str, resources: "Resources") -> None:
        """Write limits of a container that runs; devices are left as they are.

        Raises
        ------
        CgroupError
            When a limit cannot be set.
        """
        self._write_limits(path, resources)

    def join(self, path: str, pid: int) -> None:
        """Move a process into the container's folder.

        Parameters
        ----------
        path : str
            As for `create`.
        pid : int
            0 is the process that calls.

        Raises
        ------
        CgroupError
            When the kernel refuses; EACCES when the process is outside of what was delegated.
        """
        made = self._folder(path)
        try:
            folder.write(made, "cgroup.procs", str(pid), "move a process")
        except CgroupError as error:
            if error.errno != errno.EACCES:
                raise
            raise CgroupError(
                errno.EACCES,
                "cannot move a process into its cgroup, because this engine was started outside of"
                " the cgroup that was delegated to its user; start it from a program inside",
                made,
            ) from error

    def visible(self, path: str) -> list[list[str]]:
        """Return the container's folder, to be shown to it as the whole tree (so with no name)."""
        return [["", self._folder(path)]]

    def processes(self, path: str) -> list[int]:
        """Return the pids of a container, as this pid namespace sees them."""
        return sorted(folder.processes(self._folder(path)))

    def oom_kills(self, path: str) -> int:
        """Return how many processes the kernel killed because the memory limit was reached."""
        return folder.read_counter(self._folder(path), "memory.events", "oom_kill")

    def watch_oom(self, path: str) -> int:
        """Return a descriptor that has priority data whenever `oom_kills` may have grown.

        -1 when the container has no memory controller. See memory.events in cgroup-v2.rst.
        """
        try:
            return os.open(f"{self._folder(path)}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return -1

    def freeze(self, path: str) -> None:
        """Stop every process of a container from running; returns when none does. Since Linux 5.2.

        Raises
        ------
        CgroupError
            When a process does not stop.
        """
        here = self._folder(path)
        folder.write(here, "cgroup.freeze", "1", "pause")
        folder.wait_for(lambda: self.is_frozen(path), "pause", here)

    def is_frozen(self, path: str) -> bool:
        """Tell whether every process of a container is stopped."""
        return bool(folder.read_counter(self._folder(path), "cgroup.events", "frozen"))

    def thaw(self, path: str) -> None:
        """Let the processes of a container run again; fine when they already do."""
        if os.path.isdir(self._folder(path)):
            folder.write(self._folder(path), "cgroup.freeze", "0", "resume")

    def kill(self, path: str) -> None:
        """Kill every process of a container and wait until they are gone.

        Raises
        ------
        CgroupError
            EBUSY when some do not die within two seconds.
        """
        here = self._folder(path)
        if not os.path.isdir(here):
            return
        try:
            # Since Linux 5.14; it catches what is just being forked, and what is frozen.
            folder.write(here, "cgroup.kill", "1", "kill")
        except CgroupError as error:
            if error.errno != errno.ENOENT:
                raise
        folder.kill_all(here)

    def remove(self, path: str) -> None:
        """Remove a container's folder; fine when there is none.

        Raises
        ------
        CgroupError
            EBUSY when a process is still inside after two seconds.
        """
        folder.remove(self._folder(path))

    def folder(self, path: str, _controller: str) -> str:
        """Return the folder of a container, "" when it has none; all controllers share it."""
        found = self._folder(path)
        return found if os.path.isdir(found) else ""

    def mount_point(self, controller: str) -> str:
        """Return where a controller is mounted, "" when this tree does not have it."""
        offered = folder.read(self._mount_point, "cgroup.controllers").split()
        return self._mount_point if controller in offered else ""

    def _write_limits(self, path: str, resources: "Resources") -> None:
        made = self._folder(path)
        settings = _settings(resources)
        block = resources.get("blockIO", {})
        controllers = {name.partition(".")[0] for name, _, _ in settings}
        delegate(self._mount_point, path, controllers | ({"io"} if block else set()))
        folder.make(made)
        # The weights have different files, by the scheduler that there is.
        for name, value, purpose in [*settings, *blockio.v2_settings(made, block)]:
            folder.write(made, name, value, purpose)

    def _folder(self, path: str) -> str:
        return f"{self._mount_point}/{path.strip('/')}"


def _settings(resources: "Resources") -> list[tuple[str, str, str]]:
    """Return the files to write, their values, and what each is for."""
    settings = [
        *_memory_settings(resources.get("memory", {})),
        *_cpu_settings(resources.get("cpu", {})),
    ]
    pids = resources.get("pids", {"limit": 0})["limit"]
    if pids:
        settings.append(("pids.max", _number_or_max(pids), "limit processes"))
    return settings


def _memory_settings(memory: "Memory") -> list[tuple[str, str, str]]:
    if "swappiness" in memory or memory.get("disableOOMKiller"):
        raise CgroupError(
            errno.EOPNOTSUPP,
            "cgroup v2 has neither --memory-swappiness nor --oom-kill-disable; leave them out",
            "",
        )
    limit, reservation = memory.get("limit", 0), memory.get("reservation", 0)
    swap = swap_alone(memory.get("swap"), limit)
    settings = []
    if limit:
        settings.append(("memory.max", _number_or_max(limit), "limit memory"))
    if swap is not None:
        settings.append(("memory.swap.max", _number_or_max(swap), "limit swap"))
    if reservation:
        settings.append(("memory.low", _number_or_max(reservation), "reserve memory"))
    return settings


def _cpu_settings(cpu: "Cpu") -> list[tuple[str, str, str]]:
    settings = []
    if shares := cpu.get("shares", 0):
        settings.append(("cpu.weight", str(cpu_weight(shares)), "set the CPU weight"))
    quota, period = cpu.get("quota", 0), cpu.get("period", 0)
    if quota or period:
        value = f"{_number_or_max(quota or _NO_LIMIT)} {period or _DEFAULT_PERIOD_US}"
        settings.append(("cpu.max", value, "limit CPU time"))
    if cpus := cpu.get("cpus"):
        settings.append(("cpuset.cpus", cpus, "choose CPUs"))
    if mems := cpu.get("mems"):
        settings.append(("cpuset.mems", mems, "choose memory nodes"))
    return settings


def swap_alone(swap: int | None, limit: int) -> int | None:
    """Return v2's limit of swap alone, from the sum of memory and swap that the spec has.

    Parameters
    ----------
    swap : int or None
        Bytes of memory and swap together; -1 is no limit, 0 and None are not given.
    limit : int
        Bytes of memory; 0 is not given.

    Raises
    ------
    CgroupError
        EINVAL when the sum is smaller than the memory, or the memory is not limited.

    Examples
    --------
    >>> swap_alone(300, 100), swap_alone(-1, 100), swap_alone(None, 100)
    (200, -1, None)
    """
    if not swap:
        return None
    if _NO_LIMIT in {swap, limit}:
        return swap
    if not 0 < limit <= swap:
        raise CgroupError(
            errno.EINVAL, "the limit of memory and swap together must include a memory limit", ""
        )
    return swap - limit


def cpu_weight(shares: int) -> int:
    """Return v2's weight for v1's shares: 2, 1024 and 262144 become 1, 100 and 10000.

    The exponent is the quadratic that runc and crun use since 2025; the straight line before it
    turned the default of 1024 into 39, less than the default weight.

    Examples
    --------
    >>> [cpu_weight(shares) for shares in (1, 2, 512, 1024, 2048, 262144)]
    [1, 1, 59, 100, 174, 10000]
    """
    if shares <= _SHARES_MIN:
        return 1
    if shares >= _SHARES_MAX:
        return _WEIGHT_MAX
    doublings = _log2(shares)
    exponent = (doublings * doublings + 125 * doublings) / 612 - 7 / 34
    # The next larger whole number, without rounding noise lifting an exact 100 to 101.
    return -int(-(10.0**exponent - 1e-9) // 1)


def _log2(number: int) -> float:
    """Return the binary logarithm; `math` may be a shared library, which init does not load."""
    whole = number.bit_length() - 1
    rest = number / (1 << whole)
    logarithm, step = float(whole), 1.0
    for _ in range(40):
        rest *= rest
        step /= 2
        if rest >= 2:  # noqa: PLR2004 - two is the base
            rest /= 2
            logarithm += step
    return logarithm


def _number_or_max(number: int) -> str:
    return "max" if number == _NO_LIMIT else str(number)
