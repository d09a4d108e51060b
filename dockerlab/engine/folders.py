"""Where the files of a data root are: one place for the names of design's "On disk"."""

import os
from dataclasses import dataclass
from pathlib import Path

from dockerlab.engine.container import ContainerId
from dockerlab.errors import Forbidden

__all__ = ["ContainerFolder", "Folders"]

_TRASH_PREFIX = ".trash-"
# A socket's path holds 108 bytes, so the folder of a monitor has the beginning of the id.
_SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class ContainerFolder:
    """The folder of one container. It is its OCI bundle too."""

    path: Path
    monitor_dir: Path

    @property
    def upper(self) -> Path:
        """What the container wrote: the upper directory of its overlay."""
        return self.path / "upper"

    @property
    def work(self) -> Path:
        """Overlayfs's own work directory."""
        return self.path / "work"

    @property
    def log(self) -> Path:
        """The json-file log, under Docker's name."""
        return self.path / f"{self.path.name}-json.log"

    def log_of(self, driver: str) -> str:
        """Return the path of the log that a driver writes, '' for one that writes none."""
        names = {"json-file": str(self.log), "local": str(self.path / "local.log")}
        return names.get(driver, "")

    @property
    def exit_file(self) -> Path:
        """The monitor's exit record."""
        return self.path / "exit.json"

    @property
    def monitor_socket(self) -> Path:
        """Where the monitor listens while it lives."""
        return self.monitor_dir / "monitor.sock"

    def make(self) -> None:
        """Create the folder; what the program may see has the modes of a fresh root."""
        self.path.mkdir(mode=0o710)
        for inner, mode in (("upper", 0o755), ("work", 0o700), ("rootfs", 0o755)):
            (self.path / inner).mkdir()
            (self.path / inner).chmod(mode)


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of an engine: `root` holds what lasts, `runtime` what a reboot takes away."""

    root: Path
    runtime: Path

    @property
    def database(self) -> Path:
        """The metadata."""
        return self.root / "engine.sqlite"

    @property
    def content(self) -> Path:
        """Compressed layers, manifests, configs."""
        return self.root / "content"

    @property
    def layers(self) -> Path:
        """Unpacked layers."""
        return self.root / "layers"

    @property
    def containers(self) -> Path:
        """One folder a container."""
        return self.root / "containers"

    def make(self) -> None:
        """Create them, closed to others: setuid programs of images lie there (CVE-2021-41091).

        Raises
        ------
        Forbidden
            The runtime folder is another user's.
        """
        for folder in (self.root, self.runtime):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Its parent may stand in the temporary folder, where anybody could have made it first.
        for folder in (self.runtime.parent, self.runtime):
            if folder.stat().st_uid not in (0, os.geteuid()):
                raise Forbidden(
                    f'the runtime folder "{folder}" belongs to another user, who could take over'
                    " this engine",
                    "set XDG_RUNTIME_DIR to a folder of your own",
                )
        for folder in (self.content, self.layers, self.containers):
            folder.mkdir(mode=0o700, exist_ok=True)

    def container(self, container_id: ContainerId) -> ContainerFolder:
        """Return the folder of a container."""
        return ContainerFolder(
            self.containers / container_id, self.runtime / container_id[:_SHORT_ID]
        )

    def container_ids(self) -> set[ContainerId]:
        """Return the ids that have a folder."""
        names = [path.name for path in self.containers.iterdir()]
        return {ContainerId(name) for name in names if not name.startswith(".")}

    def monitor_ids(self) -> set[str]:
        """Return the 12 hex digits of the containers that may have a monitor."""
        with os.scandir(self.runtime) as entries:
            return {
                entry.name for entry in entries if entry.is_dir() and len(entry.name) == _SHORT_ID
            }

    def discard(self, container_id: ContainerId) -> Path | None:
        """Take a container's folder out of sight; return where it awaits its deletion."""
        trash = self.containers / f"{_TRASH_PREFIX}{container_id}"
        try:
            (self.containers / container_id).rename(trash)
        except FileNotFoundError:
            return None
        return trash

    def trash(self) -> list[Path]:
        """Return what awaits deletion."""
        return [path for path in self.containers.iterdir() if path.name.startswith(_TRASH_PREFIX)]
