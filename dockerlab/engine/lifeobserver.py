"""Who is told of a container's life, and which boot of the machine that life belongs to."""

from pathlib import Path
from typing import Protocol

from dockerlab.engine.container import Container, ContainerId
from dockerlab.engine.task import Task

__all__ = ["LifeObserver", "this_boot"]


class LifeObserver(Protocol):
    """Who wants to know what happens to containers: execs, health checks."""

    def running(self, container: Container, task: Task) -> None:
        """Note that it runs: it was started, or taken back from an earlier engine."""

    def ended(self, container: Container) -> None:
        """Note that its process has ended; its monitor may still be there."""

    def gone(self, container: Container) -> None:
        """Note that its monitor has ended too."""

    def removed(self, container_id: ContainerId) -> None:
        """Note that it is no more."""


def this_boot() -> str:
    """Return the kernel's name of this boot; proc_sys_kernel(5), random/boot_id."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
