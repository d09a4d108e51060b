"""Every probe there is, as one list of values, and the two ways to ask them.

`examine` asks all and cleans up: for `dockerlab.doctor`. `Asked` asks each when its answer is first
looked at: for the engine, whose start must be quick.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator

from dockerlab.runtime.probes import cgroups, files, ids, namespaces, process
from dockerlab.runtime.probes.asking import Ability, Host, Probe, ask

__all__ = ["NETWORK_PROBE", "PROBES", "Asked", "examine", "writing"]

PROBES = (
    Probe("sys_admin", "root with CAP_SYS_ADMIN", namespaces.sys_admin),
    Probe("user_namespace", "user namespaces", namespaces.user),
    Probe("single_id", "one id mapped in a user namespace", namespaces.single_id),
    Probe("sub_ids", "ranges of sub-ids (newuidmap)", ids.sub_ids),
    Probe("mount_namespace", "mount namespace", namespaces.mount),
    Probe("pid_namespace", "pid namespace", namespaces.pid),
    Probe("network_namespace", "network namespace", namespaces.network),
    Probe("uts_namespace", "UTS namespace", namespaces.uts),
    Probe("ipc_namespace", "IPC namespace", namespaces.ipc),
    Probe("cgroup_namespace", "cgroup namespace", namespaces.cgroup),
    Probe("proc", "a fresh /proc", namespaces.proc),
    Probe("mount_calls", "the new mount calls", files.mount_calls),
    Probe("overlay", "overlay as root", files.overlay),
    Probe("overlay_user", "overlay in a user namespace", files.overlay_in_user_namespace),
    Probe("lower_folders", "overlay with many layers (lowerdir+)", files.lower_folders),
    Probe("seccomp", "seccomp filters", process.filters),
    Probe("cgroups", "limits by cgroups", cgroups.limits),
    Probe("sealed_program", "sealed programs in memory", process.sealed_program),
    Probe("shared_memory", "shared memory", files.shared_memory),
    Probe("data_root", "a data root to write in", files.data_root),
    Probe("space", "space on the data root", files.space),
    Probe("user_attributes", "user.* attributes", files.user_attributes),
    Probe("trusted_attributes", "trusted.* attributes", files.trusted_attributes),
    Probe("ptrace", "tracing of children (ptrace)", process.ptrace),
    Probe("proot", "the program proot", process.proot),
    Probe("other_engine", "a Docker or Podman socket", process.other_engine),
)
_SCRATCH = ".dockerlab-probe-"

# Leaves this host, so it waits to be asked for.
NETWORK_PROBE = Probe("docker_hub", "Docker Hub", process.docker_hub, timeout_s=10.0)


@contextlib.contextmanager
def writing(host: Host) -> Iterator[Host]:
    """Give the probes a folder to write in, and remove what they made there."""
    _remove_leftovers(host.folder)
    scratch = os.path.join(host.folder, f"{_SCRATCH}{os.getpid()}")
    try:
        yield host._replace(scratch=scratch)
    finally:
        _remove(scratch)


def examine(host: Host, *, network: bool = False) -> list[Ability]:
    """Ask every probe, in the order of `PROBES`; `network` adds the one that leaves this host."""
    with writing(host) as prepared:
        return [ask(probe, prepared) for probe in (*PROBES, *((NETWORK_PROBE,) * network))]


class Asked(dict[str, Ability]):
    """Abilities by name, each asked when it is first looked up."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    def __missing__(self, name: str) -> Ability:
        """Ask the probe of this name."""
        probe = next(probe for probe in PROBES if probe.name == name)
        self[name] = ask(probe, self._host)
        return self[name]


def _remove_leftovers(folder: str) -> None:
    """Remove what an examination that was killed left behind."""
    names = []
    # A folder may be closed to us for reading: then we cannot write in it either, as a probe tells.
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
    for name in names:
        number = name.removeprefix(_SCRATCH)
        if name.startswith(_SCRATCH) and not os.path.isdir(f"/proc/{number}"):
            _remove(os.path.join(folder, name))


def _remove(folder: str) -> None:
    # An overlay leaves folders without any permission bits in its work folder.
    for parent, names, _ in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                os.chmod(os.path.join(parent, name), 0o700)
    shutil.rmtree(folder, ignore_errors=True)
