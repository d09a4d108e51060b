"""Where the files of a data root are: one place for the names of design's "On disk"."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dockerlab.config import refuse_foreign
from dockerlab.engine.container import ContainerId

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
    def rootfs(self) -> Path:
        """Where the container's root is: mounted, or without namespaces a folder."""
        return self.path / "rootfs"

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
    def base(self) -> Path:
        """The lowest layer of every container: what Docker has in each, where the image has not."""
        return self.root / "base"

    @property
    def containers(self) -> Path:
        """One folder a container."""
        return self.root / "containers"

    @property
    def volumes(self) -> Path:
        """One folder a volume, its data in ``_data``."""
        return self.root / "volumes"

    @property
    def builds(self) -> Path:
        """One folder a build that goes on."""
        return self.root / "builds"

    def make(self) -> None:
        """Create them, closed to others: setuid programs of images lie there (CVE-2021-41091).

        Raises
        ------
        Forbidden
            The runtime folder is another user's.
        """
        for folder in (self.root, self.runtime):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_foreign(self.runtime)
        for folder in (
            self.content,
            self.layers,
            self.containers,
            self.volumes,
            self.builds,
        ):
            folder.mkdir(mode=0o700, exist_ok=True)
        _make_base(self.base)

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

    def volume_data(self, name: str) -> Path:
        """Return where the files of a volume are; the name has been checked."""
        return self.volumes / name / "_data"

    def make_volume(self, name: str) -> None:
        """Create the folder of a volume; what a program may see has the mode of a fresh root."""
        data = self.volume_data(name)
        data.parent.mkdir(mode=0o710, exist_ok=True)
        if not data.is_dir():
            data.mkdir()
            data.chmod(0o755)

    def discard_volume(self, name: str) -> Path | None:
        """Take a volume's folder out of sight; return where it awaits its deletion."""
        trash = self.volumes / f"{_TRASH_PREFIX}{name}-{secrets.token_hex(8)}"
        try:
            (self.volumes / name).rename(trash)
        except FileNotFoundError:
            return None
        return trash

    def volume_trash(self) -> list[Path]:
        """Return what of volumes awaits deletion."""
        return [path for path in self.volumes.iterdir() if path.name.startswith(_TRASH_PREFIX)]


def _make_base(base: Path) -> None:
    """Make the lowest layer, or what is missing of it; moby's init layer has the same in it."""
    for folder in (base, *(base / name for name in ("dev", "etc", "proc", "sys"))):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    # The marks that programs know a container by, and the places that files of ours are bound to.
    for name in (".dockerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf"):
        (base / name).touch()
        (base / name).chmod(0o755)
    with suppress(FileExistsError):
        (base / "etc" / "mtab").symlink_to("/proc/mounts")
