"""Collecting facts about the engine and its host, when a client asks."""

import os
import platform
import uuid
from contextlib import suppress
from pathlib import Path

import dockerlab
from dockerlab.config import Settings
from dockerlab.engine.connections import Connections
from dockerlab.engine.images import Images
from dockerlab.engine.launching import default_network
from dockerlab.engine.logconfig import DRIVERS
from dockerlab.engine.networkfacts import describe_service, service_warnings
from dockerlab.engine.registries import Registries
from dockerlab.engine.roster import Roster
from dockerlab.engine.runtimes import BUILT_IN
from dockerlab.engine.start import Starter
from dockerlab.engine.system import EngineInfo
from dockerlab.oci.platform import host_platform
from dockerlab.runtime.cgroups import tree
from dockerlab.runtime.cgroups.features import host_features
from dockerlab.runtime.tier import PLAIN, Tier
from dockerlab.runtime.usernamespace import ROOTLESS

__all__ = ["System"]

_NO_NAMESPACE = "no namespace can be made on this host"


class System:
    """Answers `version`, `info` and `engine status`."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it asks, at the only call
        self,
        settings: Settings,
        tier: Tier,
        roster: Roster,
        images: Images,
        starter: Starter,
        registries: Registries,
        connections: Connections,
    ) -> None:
        self._settings = settings
        self._tier = tier
        self._roster = roster
        self._images = images
        self._starter = starter
        self._registries = registries
        self._connections = connections

    def info(self) -> EngineInfo:
        """Collect them now."""
        settings, host = self._settings, os.uname()
        statuses = [container.state.status for container in self._roster.all()]
        is_rootless = self._tier.name.startswith(ROOTLESS)
        is_plain = self._tier.name in PLAIN
        has_cgroups = not is_plain and (not is_rootless or bool(settings.cgroup_parent))
        running, paused = statuses.count("running"), statuses.count("paused")
        return EngineInfo(
            engine_id=_engine_id(settings),
            version=dockerlab.__version__,
            git_commit="",
            python_version=platform.python_version(),
            kernel_version=host.release,
            operating_system=_operating_system(),
            architecture=host_platform(host.machine).architecture,
            hostname=host.nodename,
            cpus=len(os.sched_getaffinity(0)),
            memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            data_root=str(settings.data_root),
            socket_path=str(settings.socket_path),
            log_path=str(settings.log_path),
            pid=os.getpid(),
            tier=self._tier.name,
            tier_reason=self._tier.reason,
            cgroup_version=str(tree.detect().version),
            cgroup_driver="cgroupfs" if has_cgroups else "none",
            limits=host_features() if has_cgroups else frozenset(),
            runtime=BUILT_IN,
            runtimes=((BUILT_IN, BUILT_IN), *self._starter.runtimes.usable.items()),
            log_driver=settings.log_driver,
            log_drivers=DRIVERS,
            sealed_interpreter=self._starter.spawner.is_sealed,
            default_network=default_network(self._tier),
            network_reason=_NO_NAMESPACE if is_plain else describe_service(self._connections.hello),
            warnings=service_warnings(self._connections.hello, self._connections.failure),
            containers_running=running,
            containers_paused=paused,
            containers_stopped=len(statuses) - running - paused,
            images=len(self._images.list(include_intermediate=False, filters={})),
            mirrors=settings.mirrors,
            insecure_registries=settings.insecure_registries,
            proxies=self._registries.proxies.shown(),
            rate_limits=tuple(self._registries.rate_limits()),
            security_options=(
                *(() if is_plain else ("name=seccomp,profile=builtin",)),
                *(("name=rootless",) if is_rootless or (is_plain and os.geteuid()) else ()),
            ),
        )


def _engine_id(settings: Settings) -> str:
    """Return an id that lasts as long as the data root stays on this host."""
    with suppress(OSError):
        machine = Path("/etc/machine-id").read_text(encoding="ascii", errors="replace").strip()
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{machine}{settings.data_root}"))
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(settings.data_root)))


def _operating_system() -> str:
    """Return the name that os-release(5) gives."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "Linux"
    values = dict(line.partition("=")[::2] for line in lines)
    return values.get("PRETTY_NAME", "Linux").strip('"')
