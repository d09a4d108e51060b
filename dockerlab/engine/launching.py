"""What a tier decides about containers: chosen once, when the engine opens, and asked from then on.

How a root folder comes about, what the runtime is told, and what is refused. Here are the tiers
with namespaces and the one that runs nothing; `traced` is the one under PRoot.
"""

from pathlib import Path
from typing import Any, Protocol

import msgspec

from dockerlab.engine.container import Container, HostConfig
from dockerlab.engine.exec import ExecConfig
from dockerlab.engine.folders import ContainerFolder
from dockerlab.engine.hostlimits import check_isolation
from dockerlab.engine.mount import Mount
from dockerlab.engine.network import BRIDGE, HOST
from dockerlab.engine.spawner import Spawner
from dockerlab.engine.specs import HostFacts, check_cgroup, make_spec
from dockerlab.errors import Unsupported
from dockerlab.image.layers import LayerStore
from dockerlab.oci.runtimespec import Spec
from dockerlab.phases import Stopwatch
from dockerlab.runtime.tier import PTRACE, Tier

__all__ = ["HOST", "Launching", "Namespaced", "Refusing", "default_network", "settle_network"]


class Launching(Protocol):
    """What the starter needs of a tier."""

    def settle(self, host: HostConfig) -> HostConfig:
        """Return the config with this host's defaults where it asks for them."""
        ...

    def settle_mounts(self, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
        """Return the mounts that a container is to have of those that were chosen."""
        ...

    def check(self, container: Container, facts: HostFacts) -> None:
        """Refuse what this host cannot give to the container; raise Unsupported."""
        ...

    def check_exec(self, config: ExecConfig) -> None:
        """Refuse what this host cannot give to another program in it; raise Unsupported."""
        ...

    async def prepare(
        self, container: Container, folder: ContainerFolder, stopwatch: Stopwatch
    ) -> None:
        """Make what the start needs beside the bundle; raise StartFailure."""
        ...

    def spec(self, container: Container, facts: HostFacts) -> Spec:
        """Return the spec that runs the container."""
        ...

    def monitor_args(self, container: Container, folder: ContainerFolder) -> dict[str, Any]:
        """Return what the monitor has to know beyond the bundle."""
        ...

    def overlay(self, container: Container, folder: ContainerFolder) -> dict[str, Any]:
        """Return the folders of the overlay that is the container's root, or raise Unsupported."""
        ...

    def measure(self, folder: ContainerFolder) -> int:
        """Return the bytes that the container has written."""
        ...


class Namespaced:
    """Containers in namespaces, their root an overlay over the layers.

    Parameters
    ----------
    base : Path, optional
        The lowest layer of every container (`Folders.base`).
    """

    def __init__(
        self,
        spawner: Spawner,
        layers: LayerStore,
        *,
        is_rootless: bool = False,
        base: Path | None = None,
    ) -> None:
        self._spawner = spawner
        self._layers = layers
        self._is_rootless = is_rootless
        self._base = base

    def settle(self, host: HostConfig) -> HostConfig:
        """Return the config with the default bridge where it names no network."""
        return settle_network(host, BRIDGE)

    def settle_mounts(self, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
        """Return all of them."""
        return mounts

    def check(self, container: Container, facts: HostFacts) -> None:
        """Refuse limits that nothing could enforce, and options that this host cannot give."""
        check_cgroup(container, facts)
        check_isolation(container, facts.mapping, has_cgroup=bool(facts.cgroup_parent))

    def check_exec(self, config: ExecConfig) -> None:
        """Do nothing: a program has what its container's namespaces give."""

    async def prepare(
        self, container: Container, folder: ContainerFolder, stopwatch: Stopwatch
    ) -> None:
        """Do nothing: the overlay is mounted by the container's first process."""

    def spec(self, container: Container, facts: HostFacts) -> Spec:
        """Return the spec of `specs`."""
        return make_spec(container, facts)

    def monitor_args(self, container: Container, folder: ContainerFolder) -> dict[str, Any]:
        """Return the overlay."""
        return {"rootfs": self.overlay(container, folder)}

    def overlay(self, container: Container, folder: ContainerFolder) -> dict[str, Any]:
        """Return the image's layers below what the container writes."""
        return {
            "lower": self._lower(container),
            "upper": str(folder.upper),
            "work": str(folder.work),
            "userxattr": self._is_rootless,
        }

    def _lower(self, container: Container) -> list[str]:
        # Overlayfs wants the top layer first; a manifest has the lowest first.
        paths = [str(self._layers.path(diff_id)) for diff_id in reversed(container.layers)]
        return [*paths, *([] if self._base is None else [str(self._base)])]

    def measure(self, folder: ContainerFolder) -> int:
        """Measure the upper folder; only the zygote may look into all of it."""
        return self._spawner.measure_tree(str(folder.upper))


class Refusing(Namespaced):
    """No container runs on this host.

    Parameters
    ----------
    reason : str
        Why, without a full stop.
    """

    def __init__(self, spawner: Spawner, layers: LayerStore, reason: str) -> None:
        super().__init__(spawner, layers)
        self._reason = reason

    def check(self, container: Container, facts: HostFacts) -> None:
        """Refuse every container."""
        del container, facts
        raise Unsupported(
            f"containers cannot run on this host: {self._reason}",
            "`dockerlab doctor` says what would lift that",
        )


def default_network(tier: Tier) -> str:
    """Return the network of a container that asks for none."""
    return HOST if tier.name == PTRACE else BRIDGE


def settle_network(host: HostConfig, network: str) -> HostConfig:
    """Return the config with `network` where it asks for the default one."""
    if host.network_mode != "default":
        return host
    return msgspec.structs.replace(host, network_mode=network)
