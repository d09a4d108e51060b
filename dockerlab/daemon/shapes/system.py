"""Facts about the engine and the host as ``version``, ``info`` and ``system/df`` show them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from dockerlab.daemon.shapes.moment import rfc3339
from dockerlab.engine.system import EngineInfo

__all__ = ["info", "plugins", "version"]

Json = dict[str, Any]

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# Key of the API -> limit (`EngineInfo.limits`).
_LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "CpuCfsPeriod": "cpu-quota",
    "CpuCfsQuota": "cpu-quota",
    "CPUShares": "cpu-shares",
    "CPUSet": "cpuset",
    "PidsLimit": "pids",
    "OomKillDisable": "oom-kill-disable",
}
# As dockerd words what its kernel does not have.
_LIMIT_WARNINGS = {
    "memory": "memory limit",
    "swap": "swap limit",
    "oom-kill-disable": "oom kill disable",
    "cpu-quota": "cpu cfs quota",
    "cpu-shares": "cpu shares",
    "cpuset": "cpuset",
    "pids": "pids limit",
    "blkio": "blkio",
}
_INDEX = "https://index.docker.io/v1/"


def version(facts: EngineInfo, *, api_version: str, min_api_version: str) -> Json:
    """Return ``GET /version`` (Engine API, SystemVersion)."""
    own = {
        "ApiVersion": api_version,
        "MinAPIVersion": min_api_version,
        "GitCommit": facts.git_commit,
        "Os": "linux",
        "Arch": facts.architecture,
        "KernelVersion": facts.kernel_version,
        # Where dockerd names Go; `docker version` prints what it finds here.
        "GoVersion": f"none (Python {facts.python_version})",
        "Experimental": "false",
    }
    return {
        "Platform": {"Name": f"dockerlab ({facts.tier})"},
        "Version": facts.version,
        **own,
        "Experimental": False,
        "BuildTime": "",
        "Components": [{"Name": "Engine", "Version": facts.version, "Details": own}],
    }


def info(facts: EngineInfo) -> Json:
    """Return ``GET /info`` (Engine API, SystemInfo)."""
    stopped = facts.containers_stopped
    running, paused = facts.containers_running, facts.containers_paused
    return _capabilities(facts) | {
        "ID": facts.engine_id,
        "Containers": running + paused + stopped,
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": stopped,
        "Images": facts.images,
        "Driver": "overlay2",
        "DriverStatus": [
            ["Layers", "one folder a diffID"],
            ["Tier", facts.tier],
            ["Default network", _default_network(facts)],
        ],
        "Plugins": plugins(facts),
        "SystemTime": rfc3339(datetime.now(UTC)),
        "LoggingDriver": facts.log_driver,
        "CgroupDriver": facts.cgroup_driver,
        "CgroupVersion": facts.cgroup_version,
        "KernelVersion": facts.kernel_version,
        "OperatingSystem": facts.operating_system,
        "OSVersion": "",
        "OSType": "linux",
        # As `uname -m` says, and not in Go's spelling, which /version has.
        "Architecture": _MACHINES.get(facts.architecture, facts.architecture),
        "IndexServerAddress": _INDEX,
        "RegistryConfig": _registries(facts.mirrors, facts.insecure_registries),
        "NCPU": facts.cpus,
        "MemTotal": facts.memory_bytes,
        "DockerRootDir": facts.data_root,
        "Name": facts.hostname,
        "Labels": [],
        "ServerVersion": facts.version,
        "Runtimes": {name: {"path": path} for name, path in facts.runtimes},
        "DefaultRuntime": facts.runtime,
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive"},
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "",
        "SecurityOptions": list(facts.security_options),
        "Warnings": [*facts.warnings, *_tier_warnings(facts), *_limit_warnings(facts)] or None,
    }


def plugins(facts: EngineInfo) -> Json:
    """Return what kinds of volumes, networks and logs there are."""
    drivers = ["host", "null"]
    return {
        "Volume": [],
        "Network": ["bridge", *drivers] if facts.default_network == "bridge" else drivers,
        "Authorization": None,
        "Log": list(facts.log_drivers),
    }


def _default_network(facts: EngineInfo) -> str:
    reason = f" ({facts.network_reason})" if facts.network_reason else ""
    return f"{facts.default_network}{reason}"


def _capabilities(facts: EngineInfo) -> Json:
    return {
        **{key: name in facts.limits for key, name in _LIMITS.items()},
        "IPv4Forwarding": True,
        "Debug": False,
        "NFd": 0,
        "NGoroutines": 0,
        "NEventsListener": 0,
        **dict(zip(("HttpProxy", "HttpsProxy", "NoProxy"), facts.proxies, strict=True)),
        "ExperimentalBuild": False,
        "GenericResources": None,
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": ""},
        "InitCommit": {"ID": ""},
        "ProductLicense": "",
        "DefaultAddressPools": [],
        "BridgeNfIptables": False,
        "BridgeNfIp6tables": False,
        "SystemStatus": None,
        "ClusterAdvertise": "",
        "ClusterStore": "",
        "CDISpecDirs": [],
        "OSVersion": facts.kernel_version,
    }


def _registries(mirrors: Iterable[str], insecure: Iterable[str]) -> Json:
    hub = {"Name": "docker.io", "Mirrors": list(mirrors), "Secure": True, "Official": True}
    own = {
        name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False} for name in insecure
    }
    return {
        "AllowNondistributableArtifactsCIDRs": None,
        "AllowNondistributableArtifactsHostnames": None,
        "InsecureRegistryCIDRs": ["127.0.0.0/8"],
        "IndexConfigs": {"docker.io": hub, **own},
        "Mirrors": list(mirrors),
    }


def _limit_warnings(facts: EngineInfo) -> list[str]:
    if facts.cgroup_driver == "none":
        return ["WARNING: No limits: this engine may make no cgroup"]
    return [
        f"WARNING: No {what} support"
        for name, what in _LIMIT_WARNINGS.items()
        # v2 has no such thing, which is nobody's fault.
        if name not in facts.limits
        and not (name == "oom-kill-disable" and facts.cgroup_version == "2")
    ]


def _tier_warnings(facts: EngineInfo) -> list[str]:
    if facts.tier == "rootful":
        return []
    return [f"WARNING: tier {facts.tier}: {facts.tier_reason}"]
