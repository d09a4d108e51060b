"""Containers where no namespace can be made: a folder of their own, and PRoot.

The folder is a copy of the layers, made at the first start. What PRoot cannot give is refused by
name, never ignored: it has no isolation and no limits. What happens at a start is `runtime.traced`.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from dockerlab.engine.container import Container, HostConfig
from dockerlab.engine.exec import ExecConfig
from dockerlab.engine.folders import ContainerFolder
from dockerlab.engine.launching import HOST, settle_network
from dockerlab.engine.mount import Mount
from dockerlab.engine.spawner import Spawner
from dockerlab.engine.specs import HostFacts, make_spec
from dockerlab.errors import StartFailure, Unsupported
from dockerlab.image.layers import LayerStore
from dockerlab.oci.runtimespec import Mount as SpecMount
from dockerlab.oci.runtimespec import Spec
from dockerlab.phases import Stopwatch
from dockerlab.runtime.tier import PTRACE

__all__ = ["Traced"]

# Written when the copy is whole; its time tells what the container has written since.
_MERGED = "merged"
_VOLUME = "volume"
_SHM_BYTES = HostConfig().shm_size_bytes
# What is asked for and is so already: there is no filter and no profile.
_GRANTED = {
    "seccomp=unconfined",
    "apparmor=unconfined",
    "label=disable",
    "no-new-privileges",
    "no-new-privileges=true",
}


class Traced:
    """Containers under PRoot.

    Parameters
    ----------
    proot : str
        Its path.
    reason : str
        Why there is no better tier.
    """

    def __init__(self, spawner: Spawner, layers: LayerStore, proot: str, reason: str) -> None:
        self._spawner = spawner
        self._layers = layers
        self._proot = proot
        self._reason = reason

    def settle(self, host: HostConfig) -> HostConfig:
        """Return the config with the host's network, the only one, where it names none."""
        return settle_network(host, HOST)

    def settle_mounts(self, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
        """Leave out volumes that nobody named: what is written there stays in the copy."""
        return tuple(
            mount for mount in mounts if not (mount.is_anonymous and mount.kind == _VOLUME)
        )

    def check(self, container: Container, facts: HostFacts) -> None:
        """Refuse what there is not under PRoot.

        Raises
        ------
        Unsupported
            An option that it cannot give; the message names tier and remedy.
        """
        for option in _lacking(container, facts):
            raise self._refusal(option)

    def check_exec(self, config: ExecConfig) -> None:
        """Refuse privileges that no program has under PRoot."""
        if config.privileged:
            raise self._refusal("exec --privileged")

    def _refusal(self, option: str) -> Unsupported:
        return Unsupported(
            f'{option}: not in the tier "{PTRACE}", where programs run under PRoot without'
            f" isolation and limits ({self._reason})",
            "leave it out; `dockerlab doctor` says what would give this host a better tier",
        )

    async def prepare(
        self, container: Container, folder: ContainerFolder, stopwatch: Stopwatch
    ) -> None:
        """Copy the layers, at the first start."""
        if (folder.path / _MERGED).exists():
            return
        begin = time.monotonic()
        layers = [str(self._layers.path(diff_id)) for diff_id in container.layers]
        reason = await asyncio.to_thread(self._spawner.merge, layers, str(folder.rootfs))
        if reason:
            raise StartFailure(
                f"cannot copy the image's layers for the container: {reason}", step="rootfs"
            )
        (folder.path / _MERGED).touch()
        stopwatch.add("rootfs", begin, time.monotonic())

    def spec(self, container: Container, facts: HostFacts) -> Spec:
        """Return a spec without namespaces, cgroup and filter; of mounts it has binds only."""
        spec = make_spec(container, facts)
        mounts: list[SpecMount] = [
            {"destination": inside, "type": "bind", "source": outside, "options": ["bind"]}
            for inside, outside in (
                *facts.managed_files.items(),
                *((mount["destination"], mount["source"]) for mount in facts.mounts),
            )
        ]
        return {**spec, "mounts": mounts, "linux": {}}

    def monitor_args(self, container: Container, folder: ContainerFolder) -> dict[str, Any]:
        """Return the path of PRoot."""
        del container, folder
        return {"proot": self._proot}

    def overlay(self, container: Container, folder: ContainerFolder) -> dict[str, Any]:
        """Refuse to look into a root that is none: PRoot only makes it look like one."""
        del container, folder
        raise Unsupported(
            f'copying from and to containers and what they have changed: not in the tier "{PTRACE}"'
            f" ({self._reason})",
            "bind a folder of the host with -v; `dockerlab doctor` says what would give this host a"
            " better tier",
        )

    def measure(self, folder: ContainerFolder) -> int:
        """Measure what was written since the copy was made."""
        since = folder.path / _MERGED
        if not since.exists():
            return 0
        return self._spawner.measure_tree(str(folder.rootfs), str(since))


def _lacking(container: Container, facts: HostFacts) -> Iterator[str]:
    """Yield what the container asks for and does not get."""
    host, isolation = container.host, container.host.isolation
    if host.network_mode != HOST:
        yield f'the network "{host.network_mode}" (there is "{HOST}" alone)'
    options = {
        "--memory": host.memory_bytes or host.memory_swap_bytes or host.memory_reservation_bytes,
        "--cpus": host.nano_cpus or host.cpu_quota_us or host.cpu_period_us or host.cpu_shares,
        "--cpuset-cpus": host.cpuset_cpus or host.cpuset_mems,
        "--pids-limit": host.pids_limit > 0,
        "--oom-score-adj": host.oom_score_adj,
        "--shm-size": host.shm_size_bytes != _SHM_BYTES,
        "--read-only": host.readonly_rootfs,
        "--cap-add": host.cap_add,
        "--cap-drop": host.cap_drop,
        "--privileged": isolation.privileged,
        "--pid": isolation.pid_mode not in ("", HOST),
        "--ipc": isolation.ipc_mode not in ("private", HOST),
        "--userns": isolation.userns_mode not in ("", HOST),
        "--device": isolation.devices or isolation.device_cgroup_rules,
        "--tmpfs": isolation.tmpfs,
        "--ulimit": isolation.ulimits,
        "--publish (a program's ports are the host's)": host.port_bindings or host.publish_all,
        "--sysctl": isolation.sysctls,
        "--group-add": isolation.group_add,
        "--init": isolation.has_init,
        "--runtime": host.runtime,
        "--hostname": container.config.hostname not in ("", facts.hostname),
        "a named volume": any(mount.kind == _VOLUME for mount in container.mounts),
        "--mount type=tmpfs": any(mount.kind == "tmpfs" for mount in container.mounts),
        "a read-only mount": any(mount.is_read_only for mount in container.mounts),
        'a ":" in the path of a mount': any(
            ":" in mount.source + mount.destination for mount in container.mounts
        ),
    }
    yield from (name for name, value in options.items() if value)
    for option in host.security_opt:
        if option.replace(":", "=", 1) not in _GRANTED:
            yield f"--security-opt {option[:40]}"
