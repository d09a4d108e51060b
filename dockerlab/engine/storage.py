"""What a container has of files beside its layers: volumes and folders of the host.

At its creation they are chosen, made and filled; at its start they become mounts of its spec. Which
and in which order is `engine.mounts`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dockerlab.engine.asking import Answers
from dockerlab.engine.container import ContainerConfig, HostConfig
from dockerlab.engine.mount import Mount
from dockerlab.engine.mounts import choose_mounts, inherit, spec_mounts
from dockerlab.engine.spawner import Spawner
from dockerlab.engine.volume import DRIVER
from dockerlab.engine.volumes import Volumes, check_options
from dockerlab.errors import InvalidArgument, StartFailure, Unsupported
from dockerlab.oci.runtimespec import Mount as SpecMount

__all__ = ["Storage"]

_SELINUX = Path("/sys/fs/selinux/enforce")


@dataclass(frozen=True, slots=True)
class Storage:
    """Makes what mounts need, and turns them into those of a spec."""

    volumes: Volumes
    spawner: Spawner

    def choose(
        self,
        config: ContainerConfig,
        host: HostConfig,
        mounts_of: Callable[[str], Sequence[Mount]],
    ) -> tuple[Mount, ...]:
        """Return the mounts of a container that is to be made; nothing is made yet.

        Parameters
        ----------
        config : ContainerConfig
            Merged with the image's.
        mounts_of : callable
            Name of a container -> its mounts.

        Raises
        ------
        InvalidArgument
            Two mounts at one place, a folder of ``--mount`` or a driver that is not there.
        Unsupported
            An option or a label that there is not.
        """
        if not (host.requested or host.volumes_from or config.volumes):
            return ()
        mounts = choose_mounts(
            host.requested, inherit(host.volumes_from, mounts_of), config.volumes
        )
        for mount in mounts:
            _check(mount)
        return mounts

    async def provide(
        self, mounts: Sequence[Mount], overlay: Callable[[], dict[str, Any]], point: str
    ) -> None:
        """Make the volumes of a new container, and fill the empty ones from its image.

        Parameters
        ----------
        overlay : callable
            Returns the folders of the container's root, which is mounted at `point`, where no other
            process sees it.

        Raises
        ------
        InvalidArgument
            A volume over a file of the image.
        EngineFailure
            Something could not be copied.
        """
        self.volumes.provide(mounts)
        copies = [
            {"destination": mount.destination, "target": self.volumes.get(mount.source).path}
            for mount in mounts
            if mount.kind == "volume" and mount.is_copied_up and not self._device(mount)
        ]
        if not copies:
            return
        args = {"overlay": overlay(), "mount_point": point, "copies": copies}
        answers = Answers(self.spawner, "copy_up", args, ())
        try:
            await answers.next_json()
        finally:
            answers.close()

    def spec_mounts(self, mounts: Sequence[Mount]) -> list[SpecMount]:
        """Return the mounts as a spec has them; missing folders of ``-v`` are made.

        Raises
        ------
        StartFailure
            A folder of the host can neither be found nor made.
        """
        # An engine that was killed in the middle of a creation has made the record, and no more.
        self.volumes.provide(mounts)
        for mount in mounts:
            if mount.kind == "bind" and mount.makes_source and not _exists(mount.source):
                _make_source(mount.source)
        return spec_mounts(map(self._as_device, mounts), self._source)

    def _source(self, mount: Mount) -> str:
        if mount.kind == "bind":
            return mount.source
        return self._device(mount) or self.volumes.get(mount.source).path

    def _as_device(self, mount: Mount) -> Mount:
        if mount.kind != "volume" or mount.is_read_only:
            return mount
        words = self.volumes.get(mount.source).options.get("o", "").split(",")
        return msgspec.structs.replace(mount, is_read_only="ro" in words)

    def _device(self, mount: Mount) -> str:
        return self.volumes.get(mount.source).options.get("device", "")


def _check(mount: Mount) -> None:
    if {"z", "Z"} & set(mount.mode.split(",")) and mount.kind == "bind" and _SELINUX.exists():
        raise Unsupported(
            f'the folder "{mount.source}" cannot be given a label: this engine sets none',
            "leave z and Z out, and label it with chcon -t container_file_t",
        )
    if mount.kind == "volume":
        if mount.driver not in ("", DRIVER):
            # Not "not found": clients would pull the image, and ask again.
            raise InvalidArgument(
                f'error looking up volume plugin {mount.driver}: plugin "{mount.driver}" not found;'
                f' there is only "{DRIVER}"'
            )
        check_options(mount.source, mount.options)
    if mount.kind == "bind" and not mount.makes_source and not _exists(mount.source):
        raise InvalidArgument(
            f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
        )


def _exists(path: str) -> bool:
    try:
        Path(path).stat()
    except OSError:
        return False
    return True


def _make_source(source: str) -> None:
    try:
        Path(source).mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StartFailure(
            f"error while creating mount source path '{source}': mkdir {source}: {exc.strerror}",
            step="mount",
            errno=exc.errno or 0,
        ) from exc
