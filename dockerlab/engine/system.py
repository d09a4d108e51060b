"""Facts about the engine and its host, collected for `version`, `info` and `engine status`."""

from dataclasses import dataclass, field

from dockerlab.engine.registry import RateLimit
from dockerlab.runtime.cgroups.features import ALL

__all__ = ["EngineInfo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """One reading. Memory in bytes; paths as strings; `warnings` are sentences for the user.

    `limits` are those that can be kept, in the words of `runtime.cgroups.features`. `proxies` are
    those of plain HTTP and of TLS, without passwords, and their exceptions.
    """

    engine_id: str
    version: str
    git_commit: str
    python_version: str
    kernel_version: str
    operating_system: str
    architecture: str
    hostname: str
    cpus: int
    memory_bytes: int
    data_root: str
    socket_path: str
    log_path: str
    pid: int
    tier: str
    tier_reason: str
    cgroup_version: str
    cgroup_driver: str
    runtime: str
    runtimes: tuple[tuple[str, str], ...]
    log_driver: str
    log_drivers: tuple[str, ...]
    sealed_interpreter: bool
    default_network: str
    containers_running: int
    containers_paused: int
    containers_stopped: int
    images: int
    mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    security_options: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    limits: frozenset[str] = ALL
    network_reason: str = ""
    proxies: tuple[str, str, str] = ("", "", "")
