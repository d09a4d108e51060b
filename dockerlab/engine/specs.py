"""From a container to its OCI runtime spec: a pure function.

runtime-spec/config.md and config-linux.md. What Docker's defaults are is `runtime.defaults`; here
is only how a container's own config changes them.
"""

from collections.abc import Mapping as Given
from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

from dockerlab.engine import confinement
from dockerlab.engine.container import Container
from dockerlab.engine.exec import ExecConfig
from dockerlab.engine.hostdevices import FoundDevice
from dockerlab.engine.limits import resources_of
from dockerlab.engine.mounts import with_user_mounts
from dockerlab.engine.securityoptions import security_options
from dockerlab.engine.sharing import Donor
from dockerlab.errors import Unsupported
from dockerlab.oci.runtimespec import Mount, Process, Spec
from dockerlab.runtime import defaults
from dockerlab.runtime.usernamespace import Mapping

__all__ = [
    "DEFAULT_CGROUP_PARENT",
    "INIT_ANNOTATION",
    "USER_ANNOTATION",
    "HostFacts",
    "check_cgroup",
    "exec_process",
    "make_spec",
    "managed_mount",
]

# The user is looked up in the container's own files, by `runtime.init` behind the pivot.
USER_ANNOTATION = "dockerlab.user"
# There if a process of ours stays as PID 1, over the program: ``docker run --init``.
INIT_ANNOTATION = "dockerlab.init"

# PID_MAX_LIMIT of linux/threads.h: a limit that nobody reaches.
_MOST_PIDS = 1 << 22

# Where root's containers have their cgroups, unless the settings say otherwise.
DEFAULT_CGROUP_PARENT = "/dockerlab"


class HostFacts(NamedTuple):
    """What a spec needs to know beside the container."""

    hostname: str
    managed_files: dict[str, str]  # path in the container -> file of ours on the host
    mapping: Mapping | None = None  # the ids of the engine's user namespace, without root
    cgroup_parent: str = DEFAULT_CGROUP_PARENT  # "" where this engine may make none
    mounts: Sequence[Mount] = ()  # the user's, in order
    donors: Given[str, Donor] = MappingProxyType({})  # kind of namespace -> who gives it
    devices: tuple[FoundDevice, ...] = ()  # beside the usual ones


def make_spec(container: Container, facts: HostFacts) -> Spec:
    """Return the spec that runs `container`.

    Raises
    ------
    InvalidArgument
        An unknown capability or security option.
    Unsupported
        A security option that this engine does not have.
    """
    host, mapping, isolation = container.host, facts.mapping, container.host.isolation
    options = security_options(host.security_opt)
    capabilities = _capabilities(container, facts)
    namespaces = confinement.namespaces_of(container, facts.donors)
    devices, device_mounts = confinement.devices_of(facts.devices, is_rootless=mapping is not None)
    resources = resources_of(host)
    has_own_processes = any(each["type"] == "pid" and "path" not in each for each in namespaces)
    if mapping is None:
        resources["devices"] = confinement.device_rules_of(isolation, facts.devices)
    elif not has_own_processes:
        # Nothing else finds processes that no pid namespace ends with its PID 1.
        resources.setdefault("pids", {"limit": _MOST_PIDS})
    # Without root a cgroup is for limits and to pause; which devices there are, the kernel decides.
    has_cgroup = mapping is None or bool(facts.cgroup_parent)
    spec: Spec = {
        "ociVersion": "1.0.2",
        "process": _process(container, facts, capabilities),
        "root": {"path": "rootfs", "readonly": host.readonly_rootfs},
        "hostname": container.config.hostname or facts.hostname,
        "mounts": with_user_mounts(
            [*confinement.mounts_of(container, facts.donors, mapping), *device_mounts],
            [managed_mount(*file) for file in facts.managed_files.items()],
            [*facts.mounts, *confinement.tmpfs_of(isolation)],
        ),
        "linux": {
            "namespaces": namespaces,
            "devices": devices,
            "cgroupsPath": f"{facts.cgroup_parent}/{container.id}" if has_cgroup else "",
            "resources": resources,
            "sysctl": confinement.sysctls_of(
                container, namespaces, is_rootless=mapping is not None
            ),
            **confinement.masks_of(isolation),
        },
        "annotations": {USER_ANNOTATION: container.config.user},
    }
    if container.config.domainname:
        spec["domainname"] = container.config.domainname
    if options.has_seccomp:
        seccomp = confinement.seccomp_of(options.profile, isolation, capabilities)
        if seccomp is not None:
            spec["linux"]["seccomp"] = seccomp
    if options.no_new_privileges:
        spec["process"]["noNewPrivileges"] = True
    if isolation.has_init:
        spec["annotations"][INIT_ANNOTATION] = "true"
    return spec


def exec_process(container: Container, config: ExecConfig, facts: HostFacts) -> Process:
    """Return one more process for a running container: its privileges, its own command.

    A privileged one has every capability, within the container's namespaces and its filter.
    """
    given = _capabilities(container, facts)
    if config.privileged:
        given = defaults.effective_capabilities(["ALL"], is_rootless=facts.mapping is not None)
    process = _process(container, facts, given)
    process["args"] = list(config.argv)
    process["terminal"] = config.tty
    process["cwd"] = config.working_dir or process["cwd"]
    own = {entry.partition("=")[0] for entry in config.env}
    inherited = [entry for entry in process["env"] if entry.partition("=")[0] not in own]
    process["env"] = [*inherited, *config.env]
    if config.tty and not any(entry.startswith("TERM=") for entry in process["env"]):
        process["env"].append("TERM=xterm")
    return process


def _process(container: Container, facts: HostFacts, capabilities: list[str]) -> Process:
    config = container.config
    hostname = config.hostname or facts.hostname
    # The engine's own come first and are replaced where they stand, as in Docker.
    own = [f"PATH={defaults.DEFAULT_PATH}", f"HOSTNAME={hostname}"]
    own += ["TERM=xterm"] if config.tty else []
    given = {entry.partition("=")[0]: entry for entry in config.env}
    env = [given.pop(entry.partition("=")[0], entry) for entry in own]
    process: Process = {
        "terminal": config.tty,
        "user": {"uid": 0, "gid": 0},
        "args": list(container.argv),
        "env": [*env, *given.values()],
        "cwd": config.working_dir or "/",
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
        },
    }
    if facts.mapping is not None and facts.mapping.has_one_id:
        # The kernel does not let go of groups there, and all groups but one have no id.
        process["user"]["keepGroups"] = True
    groups = container.host.isolation.group_add
    if groups:
        process["user"]["groups"] = list(groups)
    if rlimits := confinement.rlimits_of(container.host.isolation):
        process["rlimits"] = rlimits
    if container.host.oom_score_adj:
        process["oomScoreAdj"] = container.host.oom_score_adj
    return process


def check_cgroup(container: Container, facts: HostFacts) -> None:
    """Refuse limits that nothing could enforce.

    Raises
    ------
    Unsupported
        The container has limits, and the engine may make no cgroup.
    """
    if not facts.cgroup_parent and resources_of(container.host):
        raise Unsupported(
            "limits of memory, CPU and processes need a cgroup that this user may write to, and"
            " none is given to this engine",
            "leave the limits out, or have root hand you a cgroup (chown -R) and name it as"
            " cgroup_parent in config.toml",
        )


def _capabilities(container: Container, facts: HostFacts) -> list[str]:
    return confinement.capabilities_of(container, is_rootless=facts.mapping is not None)


def managed_mount(inside: str, outside: str) -> Mount:
    """Return the bind of a file that the engine manages."""
    options = ["bind", "rprivate"]
    return {"destination": inside, "type": "bind", "source": outside, "options": options}
