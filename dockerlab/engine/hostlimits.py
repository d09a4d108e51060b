"""Options of isolation that this host cannot give, each refused with its reason and a remedy.

What an option means is `engine.confinement`'s. Nothing is looked at for options that were not asked
for.
"""

import os
import resource
from collections.abc import Iterable

from dockerlab.engine.confinement import capabilities_of
from dockerlab.engine.container import Container
from dockerlab.engine.isolation import Isolation, Ulimit, donor_of
from dockerlab.engine.securityoptions import security_options
from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.runtime import capabilities
from dockerlab.runtime.profile import Profile, expand
from dockerlab.runtime.seccomp import compile_filter
from dockerlab.runtime.usernamespace import Mapping

__all__ = ["check_isolation", "check_ulimits"]

_HOST = "host"


def check_isolation(container: Container, mapping: Mapping | None, *, has_cgroup: bool) -> None:
    """Refuse what this host, or this tier, cannot give to a container.

    Parameters
    ----------
    mapping : Mapping or None
        The ids of the engine's user namespace, without root.
    has_cgroup : bool
        The engine may make cgroups.

    Raises
    ------
    InvalidArgument
        An unknown capability or security option, or options that contradict each other.
    Unsupported
        The message has the reason, the hint the remedy.
    """
    host = container.host
    isolation = host.isolation
    if host.security_opt and (own := security_options(host.security_opt).profile) is not None:
        _check_filter(own, capabilities_of(container, is_rootless=mapping is not None))
    if host.cap_add or host.cap_drop:
        capabilities_of(container, is_rootless=mapping is not None)
    if isolation.ulimits:
        can_raise = mapping is None and "CAP_SYS_RESOURCE" in capabilities.available()
        check_ulimits(isolation.ulimits, can_raise=can_raise)
    _check_sysctls(container)
    if mapping is not None:
        _check_rootless(isolation, mapping, has_cgroup=has_cgroup)


def _check_filter(own: Profile, bounding: list[str]) -> None:
    try:
        compile_filter(expand(own, bounding), os.uname().machine)
    except ValueError as error:
        raise InvalidArgument(f"the seccomp profile cannot be used: {error}") from error


def check_ulimits(ulimits: Iterable[Ulimit], *, can_raise: bool) -> None:
    """Refuse a limit above what this process has, where it may not raise that. getrlimit(2)."""
    for ulimit in ulimits:
        number = getattr(resource, f"RLIMIT_{ulimit.name.upper()}", None)
        if can_raise or number is None:
            continue
        most = resource.getrlimit(number)[1]
        if most == resource.RLIM_INFINITY:
            continue
        if ulimit.hard == -1 or ulimit.hard > most:
            wanted = "unlimited" if ulimit.hard == -1 else ulimit.hard
            raise Unsupported(
                f"--ulimit {ulimit.name}={wanted} is above this host's hard limit of {most}, and to"
                " raise that needs the capability CAP_SYS_RESOURCE on the host",
                f"ask for at most {most}, or start the engine with a higher limit",
            )


def _check_sysctls(container: Container) -> None:
    host = container.host
    for key in host.isolation.sysctls:
        if key.startswith("net."):
            is_shared, what = host.network_mode == _HOST, "network"
        else:
            is_shared, what = host.isolation.ipc_mode == _HOST, "IPC"
        if is_shared:
            raise InvalidArgument(
                f"sysctl '{key}' is not allowed in the host's {what} namespace",
                f"give the container a {what} namespace of its own",
            )


def _check_rootless(isolation: Isolation, mapping: Mapping, *, has_cgroup: bool) -> None:
    if isolation.group_add and mapping.has_one_id:
        raise Unsupported(
            "--group-add is not possible in a user namespace of one id: no other group has one",
            "ranges in /etc/subuid and /etc/subgid, with newuidmap, would give it more",
        )
    narrowed = [each for each in isolation.devices if not {"r", "w"} <= set(each.permissions)]
    if isolation.device_cgroup_rules or narrowed:
        raise Unsupported(
            "rules for devices need the device cgroup, which only root may set",
            "give the device with all its permissions (rwm), or run the engine as root",
        )
    shares_processes = isolation.pid_mode == _HOST or donor_of(isolation.pid_mode)
    if shares_processes and not has_cgroup:
        raise Unsupported(
            f"--pid {isolation.pid_mode} needs a cgroup that this user may write to: without a pid"
            " namespace of its own nothing else says which processes are the container's",
            "have root hand you a cgroup (chown -R) and name it as cgroup_parent in config.toml",
        )
