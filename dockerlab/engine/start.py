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
from dockerlab.engine.container import Container, HostConfig
from dockerlab.engine.folders import ContainerFolder
from dockerlab.engine.logconfig import LogDefaults, monitor_config
from dockerlab.engine.runtimes import Runtimes
from dockerlab.engine.spawner import Spawner, socketpair
from dockerlab.engine.specs import DEFAULT_CGROUP_PARENT, HostFacts, check_cgroup, make_spec
from dockerlab.engine.task import Message, Task, start_failure
from dockerlab.errors import Unsupported
from dockerlab.image.layers import LayerStore
from dockerlab.oci.runtimespec import Spec
from dockerlab.phases import Stopwatch
from dockerlab.runtime.seccomp import compile_filter
from dockerlab.runtime.usernamespace import Mapping

__all__ = ["Starter"]

_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts containers with the layers of one store through one zygote.

    Attributes
    ----------
    mapping : Mapping or None
        The ids of the engine's user namespace, without root.
    cgroup_parent : str
        The cgroup that those of containers are made in; '' where there is none.
    refusal : str
        Why no container can run on this host; '' where they can.
    log_defaults : LogDefaults
        The log of a container that does not say it.
    runtimes : Runtimes
        What containers may run under.
    """

    spawner: Spawner
    layers: LayerStore
    mapping: Mapping | None = None
    cgroup_parent: str = DEFAULT_CGROUP_PARENT
    refusal: str = ""
    log_defaults: LogDefaults = field(default_factory=LogDefaults)
    runtimes: Runtimes = field(default_factory=Runtimes)

    def settle(self, host: HostConfig) -> HostConfig:
        """Return `host` with what the client has left to the engine's settings; or refuse it."""
        runtime = self.runtimes.settle(host.runtime)
        return msgspec.structs.replace(self.log_defaults.apply(host), runtime=runtime)

    def facts(self, container: Container, files: dict[str, str] | None = None) -> HostFacts:
        """Return what the spec of a container, or of an exec in it, depends on."""
        return HostFacts(_hostname(container), files or {}, self.mapping, self.cgroup_parent)

    def check(self, container: Container) -> None:
        """Refuse what this host cannot give to the container; raise Unsupported."""
        if self.refusal:
            raise Unsupported(
                f"containers cannot run on this host: {self.refusal}",
                "`dockerlab doctor` says what would lift that",
            )
        check_cgroup(container, self.facts(container))

    def measure(self, path: Path) -> int:
        """Return the bytes of a folder of a container; only the zygote may look into all of it."""
        return self.spawner.measure_tree(str(path))

    async def start(
        self,
        container: Container,
        folder: ContainerFolder,
        waiting: Sequence[tuple[AttachRequest, socket.socket]],
        stopwatch: Stopwatch,
    ) -> tuple[Task, Message]:
        """Start the container's process; returns when it has been executed.

        Parameters
        ----------
        waiting : sequence
            Connections to join to its streams; they are closed here in every case, the monitor has
            its own descriptors of them.

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
            self._write_bundle(container, folder)
            ours, theirs = socketpair()
            descriptors.callback(theirs.close)
            task = Task(ours, folder.exit_file, _first_byte(stopwatch))
            fds = [theirs.fileno(), *(connection.fileno() for _, connection in waiting)]
            requests = [describe(request) for request, _ in waiting]
            self.spawner.submit("monitor", self._monitor_args(container, folder, requests), fds)
        message = await task.started
        if message["type"] == "failed":
            task.close()
            raise start_failure(message, container.argv[0])
        stopwatch.add("start", begin, float(message["timings"]["executed"]))
        return task, message

    def discard(self, trash: Path) -> None:
        """Delete a folder of a container; as root of the container's ids, so in the zygote."""
        self.spawner.submit("remove_tree", {"root": str(trash.parent), "path": str(trash)})

    def _write_bundle(self, container: Container, folder: ContainerFolder) -> None:
        """Write what the runtime reads, and take an older run's exit record away."""
        folder.exit_file.unlink(missing_ok=True)
        files = _write_managed_files(container, folder)
        spec = make_spec(container, self.facts(container, files))
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
            "runtime": self.runtimes.program(container.host.runtime),
            "rootfs": {
                # Overlayfs wants the top layer first; a manifest has the lowest first.
                "lower": [str(self.layers.path(diff_id)) for diff_id in reversed(container.layers)],
                "upper": str(folder.upper),
                "work": str(folder.work),
                "userxattr": self.mapping is not None,
            },
            "run_dir": str(folder.monitor_dir),
            "log": folder.log_of(container.host.log_driver),
            "log_config": monitor_config(container, config.image),
            "exit_file": str(folder.exit_file),
            "terminal": config.tty,
            "open_stdin": config.open_stdin,
            "stdin_once": config.stdin_once,
            "tty_size": None,
            "attachments": attachments,
        }


def _write_spec(spec: Spec, folder: ContainerFolder) -> None:
    (folder.path / "config.json").write_text(json.dumps(spec))


def _hostname(container: Container) -> str:
    if container.host.network_mode == "host":
        return os.uname().nodename
    return container.id[:12]


def _write_managed_files(container: Container, folder: ContainerFolder) -> dict[str, str]:
    """Write the three files that Docker manages in every container; return path -> file."""
    hostname = container.config.hostname or _hostname(container)
    resolv = ""
    if container.host.network_mode == "host":
        resolv = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
    contents = {
        "hostname": f"{hostname}\n",
        "hosts": _HOSTS,
        "resolv.conf": resolv,
    }
    for name, text in contents.items():
        path = folder.path / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
    return {f"/etc/{name}": str(folder.path / name) for name in contents}


@lru_cache(maxsize=16)
def _program(profile: str) -> bytes:
    # Nearly all containers have the same filter, and to compile it takes longer than to start one.
    return compile_filter(json.loads(profile), os.uname().machine)


def _first_byte(stopwatch: Stopwatch) -> Callable[[float], None]:
    def note(monotonic_s: float) -> None:
        """Record the point."""
        stopwatch.add("first_byte", monotonic_s, monotonic_s)

    return note
