"""From a container to its OCI runtime spec: a pure function.

runtime-spec/config.md and config-linux.md. What Docker's defaults are is `runtime.defaults`; here
is only how a container's own config changes them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dockerlab.engine.container import Container
from dockerlab.engine.exec import ExecConfig
from dockerlab.engine.mounts import with_user_mounts
from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.oci.runtimespec import Cpu, Mount, Process, Resources, Spec
from dockerlab.runtime import defaults
from dockerlab.runtime.usernamespace import Mapping

__all__ = [
    "DEFAULT_CGROUP_PARENT",
    "USER_ANNOTATION",
    "HostFacts",
    "check_cgroup",
    "exec_process",
    "make_spec",
    "managed_mount",
]

# The user is looked up in the container's own files, by `runtime.init` behind the pivot.
USER_ANNOTATION = "dockerlab.user"

_CPU_PERIOD_US = 100_000


# Where root's containers have their cgroups, unless the settings say otherwise.
DEFAULT_CGROUP_PARENT = "/dockerlab"

_TTY_GROUP = 5


class HostFacts(NamedTuple):
    """What a spec needs to know beside the container."""

    hostname: str
    managed_files: dict[str, str]  # path in the container -> file of ours on the host
    mapping: Mapping | None = None  # the ids of the engine's user namespace, without root
    cgroup_parent: str = DEFAULT_CGROUP_PARENT  # "" where this engine may make none
    mounts: Sequence[Mount] = ()  # the user's, in order


def make_spec(container: Container, facts: HostFacts) -> Spec:
    """Return the spec that runs `container`.

    Raises
    ------
    InvalidArgument
        An unknown capability or security option.
    Unsupported
        A security option that this engine does not have.
    """
    host = container.host
    options = _security_options(host.security_opt)
    mapping = facts.mapping
    capabilities = _capabilities(container, facts)
    network = "host" if host.network_mode == "host" else "none"
    resources = _resources(container)
    if mapping is None:
        resources["devices"] = defaults.device_rules()
    # Without root a cgroup is for limits only: what devices there are, the kernel decides.
    has_cgroup = mapping is None or bool(resources)
    spec: Spec = {
        "ociVersion": "1.0.2",
        "process": _process(container, facts, capabilities),
        "root": {"path": "rootfs", "readonly": host.readonly_rootfs},
        "hostname": container.config.hostname or facts.hostname,
        "mounts": with_user_mounts(
            defaults.default_mounts(
                host.shm_size_bytes,
                has_tty_group=mapping is None or mapping.has_gid(_TTY_GROUP),
                has_own_sysfs=mapping is None or network != "host",
            ),
            [managed_mount(*file) for file in facts.managed_files.items()],
            facts.mounts,
        ),
        "linux": {
            "namespaces": defaults.namespaces(network, has_private_cgroup=True),
            "devices": defaults.default_devices(),
            "cgroupsPath": f"{facts.cgroup_parent}/{container.id}" if has_cgroup else "",
            "resources": resources,
            "maskedPaths": defaults.masked_paths(),
            "readonlyPaths": list(defaults.READONLY_PATHS),
        },
        "annotations": {USER_ANNOTATION: container.config.user},
    }
    if options.has_seccomp:
        spec["linux"]["seccomp"] = defaults.default_seccomp(capabilities)
    if options.no_new_privileges:
        spec["process"]["noNewPrivileges"] = True
    return spec


def exec_process(container: Container, config: ExecConfig, facts: HostFacts) -> Process:
    """Return one more process for a running container: its privileges, its own command."""
    process = _process(container, facts, _capabilities(container, facts))
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
    if not facts.cgroup_parent and _resources(container):
        raise Unsupported(
            "limits of memory, CPU and processes need a cgroup that this user may write to, and"
            " none is given to this engine",
            "leave the limits out, or have root hand you a cgroup (chown -R) and name it as"
            " cgroup_parent in config.toml",
        )


def _capabilities(container: Container, facts: HostFacts) -> list[str]:
    host = container.host
    is_rootless = facts.mapping is not None
    return defaults.effective_capabilities(host.cap_add, host.cap_drop, is_rootless=is_rootless)


class _Options(NamedTuple):
    has_seccomp: bool
    no_new_privileges: bool


def _security_options(options: tuple[str, ...]) -> _Options:
    has_seccomp = True
    no_new_privileges = False
    for option in options:
        key, _, value = option.replace(":", "=", 1).partition("=")
        if key == "no-new-privileges":
            no_new_privileges = value in ("", "true")
        elif (key, value) == ("seccomp", "unconfined"):
            has_seccomp = False
        elif key == "seccomp" or (key, value) == ("systempaths", "unconfined"):
            raise Unsupported(f'the security option "{key}={value[:40]}" is not supported yet')
        elif key in ("apparmor", "label"):
            if value not in ("unconfined", "disable"):
                raise Unsupported(f'the security option "{option[:40]}" is not supported yet')
        else:
            raise InvalidArgument(f'invalid --security-opt 2: "{option[:100]}"')
    return _Options(has_seccomp, no_new_privileges)


def managed_mount(inside: str, outside: str) -> Mount:
    """Return the bind of a file that the engine manages."""
    options = ["bind", "rprivate"]
    return {"destination": inside, "type": "bind", "source": outside, "options": options}


def _resources(container: Container) -> Resources:
    host = container.host
    resources: Resources = {}
    if host.memory_bytes:
        resources["memory"] = {"limit": host.memory_bytes}
        if host.memory_swap_bytes:
            resources["memory"]["swap"] = host.memory_swap_bytes
    if host.memory_reservation_bytes:
        resources.setdefault("memory", {})["reservation"] = host.memory_reservation_bytes
    cpu = _cpu(container)
    if cpu:
        resources["cpu"] = cpu
    if host.pids_limit > 0:
        resources["pids"] = {"limit": host.pids_limit}
    return resources


def _cpu(container: Container) -> Cpu:
    host = container.host
    cpu: Cpu = {}
    if host.nano_cpus:
        cpu["period"] = _CPU_PERIOD_US
        cpu["quota"] = host.nano_cpus * _CPU_PERIOD_US // 10**9
    if host.cpu_period_us:
        cpu["period"] = host.cpu_period_us
    if host.cpu_quota_us:
        cpu["quota"] = host.cpu_quota_us
    if host.cpu_shares:
        cpu["shares"] = host.cpu_shares
    if host.cpuset_cpus:
        cpu["cpus"] = host.cpuset_cpus
    if host.cpuset_mems:
        cpu["mems"] = host.cpuset_mems
    return cpu
