"""Starting a container: rows 11 to 14 of the walk in docs/journey-of-a-run.md.

The daemon writes the bundle and hands it, with the waiting connections, to the zygote; what happens
behind that is `runtime`'s. The monitor undoes its own steps when one fails.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from dockerlab.engine.attach import describe
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.container import Container, ContainerConfig, HostConfig
from dockerlab.engine.folders import ContainerFolder
from dockerlab.engine.hostdevices import find_devices
from dockerlab.engine.launching import Launching
from dockerlab.engine.logconfig import LogDefaults, monitor_config
from dockerlab.engine.managedfiles import managed_files, write_managed_files
from dockerlab.engine.mount import Mount
from dockerlab.engine.mounts import with_user_mounts
from dockerlab.engine.runtimes import Runtimes
from dockerlab.engine.sharing import Donor, short_hostname
from dockerlab.engine.spawner import Spawner, socketpair
from dockerlab.engine.specs import DEFAULT_CGROUP_PARENT, HostFacts, managed_mount
from dockerlab.engine.storage import Storage
from dockerlab.engine.task import Message, Task, start_failure
from dockerlab.kernel.fds import OwnedFd
from dockerlab.oci.runtimespec import Spec
from dockerlab.phases import Stopwatch
from dockerlab.runtime.cgroups.tree import detect
from dockerlab.runtime.seccomp import compile_filter
from dockerlab.runtime.usernamespace import Mapping

__all__ = ["Starter"]


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts containers through one zygote.

    Attributes
    ----------
    launching : Launching
        What the tier of this host decides.
    mapping : Mapping or None
        The ids of the engine's user namespace, without root.
    cgroup_parent : str
        The cgroup that those of containers are made in; '' where there is none.
    log_defaults : LogDefaults
        The log of a container that does not say it.
    runtimes : Runtimes
        What containers may run under.
    """

    spawner: Spawner
    launching: Launching
    storage: Storage
    mapping: Mapping | None = None
    cgroup_parent: str = DEFAULT_CGROUP_PARENT
    log_defaults: LogDefaults = field(default_factory=LogDefaults)
    runtimes: Runtimes = field(default_factory=Runtimes)

    def facts(
        self,
        container: Container,
        files: dict[str, str] | None = None,
        donors: dict[str, Donor] | None = None,
    ) -> HostFacts:
        """Return what the spec of a container, or of an exec in it, depends on."""
        return HostFacts(
            short_hostname(container),
            files or {},
            self.mapping,
            self.cgroup_parent,
            donors=donors or {},
        )

    def settle(self, host: HostConfig) -> HostConfig:
        """Return the config with what the client has left to the engine; or refuse it."""
        runtime = self.runtimes.settle(host.runtime)
        settled = msgspec.structs.replace(self.log_defaults.apply(host), runtime=runtime)
        return self.launching.settle(settled)

    def check(self, container: Container) -> None:
        """Refuse what this host cannot give to the container; raise Unsupported."""
        self.launching.check(container, self.facts(container))

    def measure(self, folder: ContainerFolder) -> int:
        """Return the bytes that a container has written."""
        return self.launching.measure(folder)

    async def start(
        self,
        container: Container,
        folder: ContainerFolder,
        waiting: Sequence[tuple[AttachRequest, socket.socket]],
        stopwatch: Stopwatch,
        donors: dict[str, Donor],
        network: OwnedFd,
    ) -> tuple[Task, Message]:
        """Start the container's process; returns when it has been executed.

        Parameters
        ----------
        waiting : sequence
            Connections to join to its streams; they are closed here in every case, the monitor has
            its own descriptors of them.
        donors : dict
            Who gives which kind of namespace; closed here in every case.
        network : OwnedFd
            A network namespace that was made for it, or a closed one; closed here too.

        Returns
        -------
        task, started
            The connection to its monitor, and the monitor's ``started`` message.

        Raises
        ------
        StartFailure
            Some step failed; nothing of the container is left running.
        """
        begin = time.monotonic()
        with ExitStack() as descriptors:
            for _, connection in waiting:
                descriptors.callback(connection.close)
            for donor in donors.values():
                descriptors.callback(donor.close)
            descriptors.callback(network.close)
            await self.launching.prepare(container, folder, stopwatch)
            self._write_bundle(container, folder, donors)
            ours, theirs = socketpair()
            descriptors.callback(theirs.close)
            task = Task(ours, folder.exit_file, _first_byte(stopwatch))
            fds = [theirs.fileno(), *(connection.fileno() for _, connection in waiting)]
            requests = [describe(request) for request, _ in waiting]
            args = self._monitor_args(container, folder, requests)
            given = {kind: d.descriptor for kind, d in donors.items() if not d.is_host}
            if network.number >= 0:
                given["network"] = network.number
            args["donors"] = list(given)
            fds += given.values()
            self.spawner.submit("monitor", args, fds)
        message = await task.started
        if message["type"] == "failed":
            task.close()
            raise start_failure(message, container.argv[0])
        stopwatch.add("start", begin, float(message["timings"]["executed"]))
        return task, message

    def clear_cgroup(self, container: Container) -> None:
        """Remove the cgroup that a killed monitor left, with whoever is in it.

        Raises
        ------
        OSError
            Somebody in it does not die, or it is not ours to remove.
        """
        if self.cgroup_parent:
            path = f"{self.cgroup_parent}/{container.id}"
            tree = detect()
            tree.kill(path)
            tree.remove(path)

    def choose_mounts(
        self,
        config: ContainerConfig,
        host: HostConfig,
        mounts_of: Callable[[str], Sequence[Mount]],
    ) -> tuple[Mount, ...]:
        """Return the mounts of a container that is to be made; see `Storage.choose`."""
        return self.launching.settle_mounts(self.storage.choose(config, host, mounts_of))

    async def provide(self, container: Container, folder: ContainerFolder) -> None:
        """Make and fill the volumes of a new container; see `Storage.provide`."""
        await self.storage.provide(
            container.mounts,
            lambda: self.launching.overlay(container, folder),
            str(folder.rootfs),
        )

    def root_of(self, container: Container, folder: ContainerFolder) -> dict[str, Any]:
        """Return what `runtime.containerroot` makes the root of, while the container rests.

        Raises
        ------
        Unsupported
            This tier cannot look into a container's root.
        """
        overlay = self.launching.overlay(container, folder)
        mounts = self.storage.spec_mounts(container.mounts)
        managed = [
            managed_mount(inside, outside) for inside, outside in managed_files(container, folder)
        ]
        return {
            "overlay": overlay,
            "mount_point": str(folder.rootfs),
            "mounts": with_user_mounts((), managed, mounts),
            "readonly": container.host.readonly_rootfs,
        }

    def discard(self, trash: Path) -> None:
        """Delete a folder of a container; as root of the container's ids, so in the zygote."""
        self.spawner.submit("remove_tree", {"root": str(trash.parent), "path": str(trash)})

    def _write_bundle(
        self, container: Container, folder: ContainerFolder, donors: dict[str, Donor]
    ) -> None:
        """Write what the runtime reads, and take an older run's exit record away."""
        folder.exit_file.unlink(missing_ok=True)
        giver = donors.get("network")
        files = write_managed_files(container, folder, giver.container if giver else None)
        facts = self.facts(container, files, donors)
        facts = facts._replace(mounts=self.storage.spec_mounts(container.mounts))
        if container.host.isolation.privileged or container.host.isolation.devices:
            facts = facts._replace(devices=find_devices(container.host.isolation))
        spec = self.launching.spec(container, facts)
        seccomp = spec["linux"].get("seccomp")
        if seccomp is not None:
            (folder.path / "seccomp.bpf").write_bytes(_program(json.dumps(seccomp)))
        _write_spec(spec, folder)

    def _monitor_args(
        self, container: Container, folder: ContainerFolder, attachments: list[dict[str, Any]]
    ) -> dict[str, Any]:
        config = container.config
        return {
            "id": container.id,
            "bundle": str(folder.path),
            **self.launching.monitor_args(container, folder),
            "runtime": self.runtimes.program(container.host.runtime),
            "run_dir": str(folder.monitor_dir),
            "log": folder.log_of(container.host.log_driver),
            "log_config": monitor_config(container, config.image),
            "exit_file": str(folder.exit_file),
            "terminal": config.tty,
            "open_stdin": config.open_stdin,
            "stdin_once": config.stdin_once,
            "tty_size": [*container.host.console_size]
            if any(container.host.console_size)
            else None,
            "attachments": attachments,
        }


def _write_spec(spec: Spec, folder: ContainerFolder) -> None:
    (folder.path / "config.json").write_text(json.dumps(spec))


@lru_cache(maxsize=16)
def _program(profile: str) -> bytes:
    # Nearly all containers have the same filter, and to compile it takes longer than to start one.
    return compile_filter(json.loads(profile), os.uname().machine)


def _first_byte(stopwatch: Stopwatch) -> Callable[[float], None]:
    def note(monotonic_s: float) -> None:
        """Record the point."""
        stopwatch.add("first_byte", monotonic_s, monotonic_s)

    return note
