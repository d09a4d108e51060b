"""What is known of containers between two commands: a folder for each, with its state.

::

    <root>/<id>/state.json   what was made, and which process is its first
    <root>/<id>/start.sock   the first process waits at its other end; gone when it was started
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket

from dockerlab.runtime.protocol import StepFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerlab.oci.runtimespec import Spec

    State = dict[str, Any]

__all__ = ["Container", "Store"]

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_LONGEST_ID = 1024
# Fields of /proc/<pid>/stat behind the name in parentheses; proc_pid_stat(5).
_STATE_FIELD, _START_FIELD = 0, 19


class Container:
    """One container's folder.

    Attributes
    ----------
    state : dict
        ``id, pid, pid_started, bundle, rootfs, created, cgroup_path, spec``.
    """

    def __init__(self, folder: str, state: State) -> None:
        self.folder = folder
        self.state = state

    @property
    def spec(self) -> Spec:
        """The spec that it was made from, whatever has become of the bundle."""
        spec: Spec = self.state["spec"]
        return spec

    @property
    def pid(self) -> int:
        """The first process; 0 when it has ended."""
        pid, started = self.state["pid"], self.state["pid_started"]
        return pid if pid and started == process_start(pid) else 0

    @property
    def status(self) -> str:
        """``creating``, ``created``, ``running`` or ``stopped``."""
        if not self.state["pid"]:
            return "creating"
        if not self.pid:
            return "stopped"
        return "created" if os.path.exists(f"{self.folder}/start.sock") else "running"

    def save(self) -> None:
        """Write the state, whole or not at all."""
        temporary = f"{self.folder}/state.json.new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(self.state, file)
        os.rename(temporary, f"{self.folder}/state.json")

    def listen(self) -> socket.socket:
        """Return the socket at which the first process waits for its start."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with _Short(self.folder) as folder:
            listener.bind(f"{folder}/start.sock")
        listener.listen(1)
        return listener

    def connect(self) -> socket.socket:
        """Return a connection to the first process, which starts by it."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with _Short(self.folder) as folder:
            connection.connect(f"{folder}/start.sock")
        return connection

    def remove(self) -> None:
        """Forget the container."""
        shutil.rmtree(self.folder)

    def shown(self, status: str = "") -> State:
        """Return the state as the specification has it (runtime.md#state)."""
        state = self.state
        pid = self.pid
        return {
            "ociVersion": self.spec["ociVersion"],
            "id": state["id"],
            "status": status or self.status,
            **({"pid": pid} if pid else {}),
            "bundle": state["bundle"],
            "annotations": self.spec.get("annotations", {}),
        }


class Store:
    """The containers below one root."""

    def __init__(self, root: str) -> None:
        self._root = root

    def add(self, container_id: str, state: State) -> Container:
        """Make the folder of a new container.

        Raises
        ------
        StepFailure
            The id is none, or is taken.
        """
        _check_id(container_id)
        os.makedirs(self._root, 0o700, exist_ok=True)
        folder = f"{self._root}/{container_id}"
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError as error:
            message = f'container with id "{container_id}" exists already; delete it first'
            raise StepFailure("bundle", errno.EEXIST, folder, message) from error
        container = Container(folder, {"id": container_id, "pid": 0, "pid_started": 0, **state})
        container.save()
        return container

    def get(self, container_id: str) -> Container:
        """Return a container; raise StepFailure when there is none."""
        _check_id(container_id)
        folder = f"{self._root}/{container_id}"
        try:
            with open(f"{folder}/state.json", encoding="utf-8") as file:
                return Container(folder, json.load(file))
        except FileNotFoundError as error:
            # Podman looks for these words.
            message = f'container "{container_id}" does not exist'
            raise StepFailure("bundle", errno.ENOENT, folder, message) from error

    def all(self) -> list[Container]:
        """Return all containers, by their ids."""
        names = sorted(os.listdir(self._root)) if os.path.isdir(self._root) else []
        return [
            self.get(name) for name in names if os.path.exists(f"{self._root}/{name}/state.json")
        ]


def process_start(pid: int) -> int:
    """Return when a process was started, in ticks since boot; 0 for none and for a dead one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[_STATE_FIELD] in (b"Z", b"X") else int(fields[_START_FIELD])


class _Short:
    """A short name of a folder: a socket's path holds 108 bytes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._fd = -1

    def __enter__(self) -> str:
        self._fd = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _check_id(container_id: str) -> None:
    is_name = container_id and set(container_id) <= _ID_CHARACTERS
    if not is_name or container_id in (".", "..") or len(container_id) > _LONGEST_ID:
        message = f'invalid container id "{container_id[:80]}": letters, digits and "_+-." only'
        raise StepFailure("bundle", errno.EINVAL, "", message)
