"""A client's JSON for a new container or exec, as records.

What the host gives a new container is `hostconfig`'s.
"""

from typing import Any

import msgspec

from dockerlab.daemon.shapes.detachkeys import parse_detach_keys
from dockerlab.daemon.shapes.hostconfig import console_size, host_config, network_mode, unsupported
from dockerlab.daemon.shapes.policies import health_check
from dockerlab.daemon.shapes.storage import parse_paths
from dockerlab.engine.container import ContainerConfig, HostConfig
from dockerlab.engine.exec import ExecConfig
from dockerlab.errors import InvalidArgument

__all__ = ["CreateBody", "ExecBody", "ExecStartBody", "commit_config", "creation", "exec_config"]


class CreateBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The part of the body of ``POST /containers/create`` that is looked at."""

    image: str = ""
    hostname: str | None = None
    domainname: str | None = None
    user: str | None = None
    env: list[str] | None = None
    cmd: list[str] | str | None = None
    entrypoint: list[str] | str | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    exposed_ports: dict[str, Any] | None = None
    volumes: dict[str, Any] | None = None
    tty: bool | None = None
    open_stdin: bool | None = None
    stdin_once: bool | None = None
    attach_stdin: bool | None = None
    attach_stdout: bool | None = None
    attach_stderr: bool | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    network_disabled: bool | None = None
    mac_address: str | None = None
    healthcheck: dict[str, Any] | None = None
    shell: list[str] | None = None
    host_config: dict[str, Any] | None = None
    networking_config: dict[str, Any] | None = None


class ExecBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The body of ``POST /containers/{id}/exec``."""

    cmd: list[str] | str | None = None
    env: list[str] | None = None
    user: str | None = None
    working_dir: str | None = None
    tty: bool | None = None
    attach_stdin: bool | None = None
    attach_stdout: bool | None = None
    attach_stderr: bool | None = None
    privileged: bool | None = None
    detach_keys: str | None = None
    # So spelled by docker-py, and Go's JSON takes a key in either case.
    detach_keys_of_python: str | None = msgspec.field(default=None, name="detachKeys")
    console_size: list[int] | None = None


class ExecStartBody(msgspec.Struct, kw_only=True, rename="pascal"):
    """The body of ``POST /exec/{id}/start``."""

    detach: bool | None = None
    tty: bool | None = None


def creation(body: CreateBody) -> tuple[ContainerConfig, HostConfig]:
    """Turn the body of a create request into records.

    Raises
    ------
    InvalidArgument
        No image, or a value that cannot be right.
    Unsupported
        An option that this engine does not do yet.
    """
    _refuse_config(body)
    host = host_config(body.host_config or {}, is_networkless=bool(body.network_disabled))
    return _container_config(body), host


def commit_config(body: CreateBody) -> ContainerConfig:
    """Turn the body of ``POST /commit`` into a record; its image does not count."""
    body.image = body.image or "none"
    return _container_config(body)


def exec_config(body: ExecBody) -> ExecConfig:
    """Turn the body of an exec request into a record.

    Raises
    ------
    InvalidArgument
        No command, or detach keys that no terminal sends.
    """
    argv = _words(body.cmd)
    if not argv:
        raise InvalidArgument("No exec command specified")
    detach_keys = body.detach_keys or body.detach_keys_of_python or ""
    parse_detach_keys(detach_keys)
    return ExecConfig(
        argv=argv,
        env=tuple(body.env or ()),
        user=body.user or "",
        working_dir=body.working_dir or "",
        tty=bool(body.tty),
        attach_stdin=bool(body.attach_stdin),
        attach_stdout=bool(body.attach_stdout),
        attach_stderr=bool(body.attach_stderr),
        privileged=bool(body.privileged),
        detach_keys=detach_keys,
        console_size=console_size(body.console_size or []),
    )


def _container_config(body: CreateBody) -> ContainerConfig:
    if not body.image:
        raise InvalidArgument("no image specified")
    if body.stop_timeout is not None and not -1 <= body.stop_timeout < 1 << 31:
        raise InvalidArgument(f'invalid StopTimeout "{body.stop_timeout}"')
    for text in (*(body.env or ()), *_words(body.cmd), *_words(body.entrypoint)):
        if "\0" in text:
            raise InvalidArgument("an argument or a variable holds a NUL character")
    return ContainerConfig(
        image=body.image,
        hostname=body.hostname or "",
        domainname=body.domainname or "",
        user=body.user or "",
        env=tuple(body.env or ()),
        # An empty list is no command of the client's own, as null is (moby, merge of configs);
        # an entrypoint of one empty word takes the image's away, and that the engine must see.
        cmd=_words(body.cmd) or None,
        entrypoint=_words(body.entrypoint) or None,
        working_dir=body.working_dir or "",
        labels=body.labels or {},
        exposed_ports=tuple(sorted(body.exposed_ports or ())),
        volumes=parse_paths(body.volumes or ()),
        tty=bool(body.tty),
        open_stdin=bool(body.open_stdin),
        stdin_once=bool(body.stdin_once),
        attach_stdin=bool(body.attach_stdin),
        attach_stdout=bool(body.attach_stdout),
        attach_stderr=bool(body.attach_stderr),
        stop_signal=body.stop_signal or "",
        stop_timeout_s=body.stop_timeout,
        healthcheck=health_check(body.healthcheck),
        shell=tuple(body.shell or ()),
    )


def _refuse_config(body: CreateBody) -> None:
    if body.mac_address:
        raise unsupported("--mac-address")
    endpoints = (body.networking_config or {}).get("EndpointsConfig")
    for name, settings in endpoints.items() if isinstance(endpoints, dict) else ():
        network_mode(name)
        if isinstance(settings, dict) and any(settings.values()):
            raise unsupported("--ip, --network-alias and other settings of an endpoint")


def _words(value: list[str] | str | None) -> tuple[str, ...]:
    # Engine API, ContainerConfig, Cmd: "a string or an array of strings".
    if isinstance(value, str):
        return (value,)
    return tuple(value or ())
