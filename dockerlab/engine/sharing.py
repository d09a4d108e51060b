"""Namespaces that a container takes from another one: ``--pid container:X`` and the like.

Who gives is found by name when the container is created and by id when it starts. What is handed on
is a descriptor of the other's first process, from its monitor: a number could be another process's
by the time somebody looks it up.
"""

import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from dockerlab.engine.container import Container, ContainerConfig, HostConfig
from dockerlab.engine.isolation import CONTAINER_MODE, donor_of
from dockerlab.errors import Conflict, ContainerNotFound, InvalidArgument, StartFailure

__all__ = ["Donor", "find_donors", "named_donors", "short_hostname"]

# Kind of namespace in the spec -> how dockerd calls it.
_NAMES = {"network": "network", "pid": "PID", "ipc": "IPC"}
_HOST = "host"


class Donor(NamedTuple):
    """Who gives a namespace. The descriptor is -1, and owned by nobody, where that is the host's.

    Attributes
    ----------
    descriptor : int
        pidfd_open(2) of the donor's first process; whoever has the donor closes it.
    """

    container: Container
    pid: int
    descriptor: int

    @property
    def is_host(self) -> bool:
        """Tell whether the donor has that namespace from the host."""
        return self.descriptor < 0

    def close(self) -> None:
        """Let go of the process."""
        if self.descriptor >= 0:
            os.close(self.descriptor)


def _modes(host: HostConfig) -> dict[str, str]:
    return {
        "network": host.network_mode,
        "pid": host.isolation.pid_mode,
        "ipc": host.isolation.ipc_mode,
    }


def named_donors(
    config: ContainerConfig, host: HostConfig, get: Callable[[str], Container]
) -> tuple[ContainerConfig, HostConfig]:
    """Return the records of a new container with ids for names, and with a shared host name.

    Raises
    ------
    InvalidArgument
        A host name of its own, where it shares another's.
    Conflict
        There is no such container.
    """
    isolation = host.isolation
    if config.hostname and isolation.uts_mode == _HOST:
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    if not any(donor_of(mode) for mode in _modes(host).values()):
        return config, host
    ids = {kind: _with_id(mode, get) for kind, mode in _modes(host).items()}
    if donor := donor_of(ids["network"]):
        if config.hostname:
            raise InvalidArgument("conflicting options: hostname and the network mode")
        given = get(donor)
        config = msgspec.structs.replace(
            config,
            hostname=given.config.hostname or short_hostname(given),
            domainname=given.config.domainname,
        )
    isolation = msgspec.structs.replace(isolation, pid_mode=ids["pid"], ipc_mode=ids["ipc"])
    return config, msgspec.structs.replace(host, network_mode=ids["network"], isolation=isolation)


def short_hostname(container: Container) -> str:
    """Return the name of a container that was given none: the host's, or the begin of its id."""
    host = container.host
    if _HOST in (host.network_mode, host.isolation.uts_mode):
        return os.uname().nodename
    return container.id[:12]


async def find_donors(
    container: Container,
    get: Callable[[str], Container],
    share: Callable[[Container], Awaitable[tuple[int, int]]],
) -> dict[str, Donor]:
    """Return who gives which namespace to a container that is about to start.

    Parameters
    ----------
    share : callable
        Gives pid and descriptor of a running container, or raises Conflict.

    Raises
    ------
    StartFailure
        A donor is gone, does not run, or does not share.
    """
    donors: dict[str, Donor] = {}
    try:
        for kind, mode in _modes(container.host).items():
            if name := donor_of(mode):
                donors[kind] = await _donor(container, kind, name, get, share)
    except BaseException:
        for donor in donors.values():
            donor.close()
        raise
    return donors


async def _donor(
    container: Container,
    kind: str,
    name: str,
    get: Callable[[str], Container],
    share: Callable[[Container], Awaitable[tuple[int, int]]],
) -> Donor:
    what = _NAMES[kind]
    if name == container.id:
        raise _failure(f"cannot join own {what}")
    try:
        donor = get(name)
        mode = _modes(donor.host)[kind]
        if kind == "ipc" and mode in ("none", "private"):
            raise _failure(
                f"cannot join IPC of container {donor.id}: non-shareable IPC (hint: use"
                " IpcMode:shareable for the donor container)"
            )
        pid, descriptor = await share(donor)
        if _is_of_the_host(donor, kind, get):
            os.close(descriptor)
            descriptor = -1
    except ContainerNotFound as error:
        raise _failure(f"cannot join {what} of {name}: {error.message}") from error
    except Conflict as error:
        raise _failure(f"cannot join {what} of a non running container: {name}") from error
    return Donor(donor, pid, descriptor)


def _is_of_the_host(donor: Container, kind: str, get: Callable[[str], Container]) -> bool:
    """Tell whether the donor has it from the host, itself or by way of others."""
    seen: set[str] = set()
    while next_name := donor_of(_modes(donor.host)[kind]):
        if next_name in seen:
            return False
        seen.add(next_name)
        try:
            donor = get(next_name)
        except ContainerNotFound:
            return False
    return _modes(donor.host)[kind] == _HOST


def _with_id(mode: str, get: Callable[[str], Container]) -> str:
    name = donor_of(mode)
    if not name:
        return mode
    try:
        return f"{CONTAINER_MODE}{get(name).id}"
    except ContainerNotFound as error:
        # Not "not found": clients would take that for the image, and pull it.
        raise Conflict(f'cannot join "{mode}": {error.message}') from error


def _failure(text: str) -> StartFailure:
    return StartFailure(text, step="namespaces", errno=0)
