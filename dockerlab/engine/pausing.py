"""Pausing: a container's processes stop where they are, and go on as if nothing had been.

The kernel's freezer does it (freezer-subsystem.rst, "cgroup.freeze" in cgroup-v2.rst). Whether a
container is paused is in the kernel, which a new daemon asks; here it is noted and told.
"""

import asyncio

import msgspec

from dockerlab.engine.cgroup import Cgroup, find_cgroup
from dockerlab.engine.container import Container, ContainerId, Status
from dockerlab.engine.events import Events
from dockerlab.engine.folders import Folders
from dockerlab.engine.roster import Roster
from dockerlab.engine.task import Message, Task
from dockerlab.errors import Conflict, ContainerNotFound, EngineFailure, Unsupported
from dockerlab.runtime.cgroups.tree import CgroupError

__all__ = ["Pausing", "check_not_paused"]


def check_not_paused(container: Container, name: str, purpose: str) -> None:
    """Raise Conflict for a paused container, in dockerd's words; `purpose` as in ``exec``."""
    if container.state.status == "paused":
        raise Conflict(f"Container {name} is paused, unpause the container before {purpose}")


class Pausing:
    """Pauses containers, and notes what monitors say of the freezer and of memory.

    It is one of the observers of `lives`.
    """

    def __init__(self, roster: Roster, folders: Folders, events: Events) -> None:
        self._roster = roster
        self._folders = folders
        self._events = events

    async def pause(self, container: Container) -> None:
        """Stop all processes of a container that runs; returns when none runs any more.

        Raises
        ------
        Conflict
            It is paused already, or has just ended.
        Unsupported
            It has no cgroup.
        EngineFailure
            The kernel refuses, or a process does not stop.
        """
        if container.state.status == "paused":
            raise Conflict(f"Container {container.id} is already paused")
        tree, path = self._cgroup(container)
        try:
            await asyncio.to_thread(tree.freeze, path)
        except CgroupError as exc:
            tree.thaw(path)
            raise EngineFailure(f"cannot pause container {container.id[:12]}: {exc}") from exc
        if not self._note(container.id, "running", "paused", "pause"):
            tree.thaw(path)
            raise Conflict(f"Container {container.id} is not running")

    def unpause(self, container: Container) -> None:
        """Let the processes of a paused container go on, or raise Conflict."""
        if container.state.status != "paused":
            raise Conflict(f"Container {container.id} is not paused")
        tree, path = self._cgroup(container)
        tree.thaw(path)
        self._note(container.id, "paused", "running", "unpause")

    def running(self, container: Container, task: Task) -> None:
        """Listen to what the monitor of a container says."""

        def heard(message: Message) -> None:
            """Take what it says of the freezer or of memory."""
            if message["type"] == "oom":
                self._note_oom(container.id)
            elif message["type"] == "thawed":
                # A signal has woken it, so that it can act on that.
                self._note(container.id, "paused", "running", "unpause")

        task.on_notice = heard

    def ended(self, container: Container) -> None:
        """Do nothing: the freezer has let go of it."""

    def gone(self, container: Container) -> None:
        """Do nothing."""

    def removed(self, container_id: ContainerId) -> None:
        """Do nothing."""

    def _cgroup(self, container: Container) -> Cgroup:
        cgroup = find_cgroup(self._folders.container(container.id))
        if cgroup is None:
            raise Unsupported(
                f"container {container.id[:12]} cannot be paused: it has no cgroup, because this"
                " user may not make one",
                "have root hand you a cgroup (chown -R), name it as cgroup_parent in config.toml,"
                " and start the container again",
            )
        return cgroup

    def _note(self, container_id: ContainerId, before: Status, after: Status, event: str) -> bool:
        """Write a change down and tell it; False when the container is not what it was."""
        container = self._find(container_id)
        if container is None or container.state.status != before:
            return False
        state = msgspec.structs.replace(container.state, status=after)
        self._roster.save(msgspec.structs.replace(container, state=state))
        self._events.of_container(container, event)
        return True

    def _note_oom(self, container_id: ContainerId) -> None:
        container = self._find(container_id)
        if container is None or not container.state.is_running:
            return
        state = msgspec.structs.replace(container.state, oom_killed=True)
        self._roster.save(msgspec.structs.replace(container, state=state))
        self._events.of_container(container, "oom")

    def _find(self, container_id: ContainerId) -> Container | None:
        try:
            return self._roster.get(container_id)
        except ContainerNotFound:
            return None
