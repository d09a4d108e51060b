"""The notes on execs in their container's folder: what was started, and how it ended.

Written without a flush to the disk: they are for the next daemon, not for the next boot.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dockerlab.engine.container import ContainerId
from dockerlab.engine.exec import Exec
from dockerlab.engine.folders import Folders

__all__ = ["ExecNotes"]


@dataclass(frozen=True, slots=True)
class ExecNotes:
    """``execs/<id>.json`` by the engine, ``execs/<id>.exit`` by the container's monitor."""

    folders: Folders

    def save(self, instance: Exec) -> None:
        """Note an exec that is about to start."""
        path = self._note(instance)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(instance))
        temporary.rename(path)

    def exit_file(self, instance: Exec) -> Path:
        """Return where the monitor notes how it ended."""
        return self._note(instance).with_suffix(".exit")

    def exit_code(self, instance: Exec) -> int | None:
        """Return how it ended, None when its monitor has not said."""
        try:
            return int(json.loads(self.exit_file(instance).read_bytes())["exit_code"])
        except FileNotFoundError:
            return None

    def of(self, container_id: ContainerId) -> list[Exec]:
        """Return what was noted of a container, the oldest first."""
        folder = self._folder(container_id)
        paths = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [msgspec.json.decode(path.read_bytes(), type=Exec) for path in paths]

    def forget(self, instance: Exec) -> None:
        """Delete the notes on an exec."""
        self._note(instance).unlink(missing_ok=True)
        self.exit_file(instance).unlink(missing_ok=True)

    def _folder(self, container_id: ContainerId) -> Path:
        return self.folders.container(container_id).path / "execs"

    def _note(self, instance: Exec) -> Path:
        return self._folder(instance.container_id) / f"{instance.id}.json"
