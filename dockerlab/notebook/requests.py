"""The line of `%run_container` as a `RunRequest`: flags in, fields of the Engine API out.

It decides and does nothing. The fields are ContainerConfig's and HostConfig's of Engine API 1.44.
"""

from collections.abc import Mapping
from typing import Any, cast

from dockerlab.client.run import RunRequest
from dockerlab.errors import InvalidArgument
from dockerlab.notebook.options import Arguments
from dockerlab.units import parse_cpus, parse_size

__all__ = ["run_request"]

_PULL_POLICIES = ("missing", "always", "never")


def run_request(
    arguments: Arguments, environ: Mapping[str, str], stdin: bytes | None = None
) -> RunRequest:
    """Return what a parsed line of `%run_container` asks for.

    Parameters
    ----------
    arguments : Arguments
        Of `commands.RUN`.
    environ : Mapping
        Of the kernel: ``-e NAME`` without a value passes its value on.
    stdin : bytes or None
        The cell's body; None for a line.

    Raises
    ------
    InvalidArgument
        A value cannot be right, or flags contradict each other.
    """
    image, *command = arguments.operands
    is_detached = arguments.flag("detach")
    if is_detached and stdin is not None:
        raise InvalidArgument(
            "-d cannot be used with a cell: a container in the background reads no cell",
            "leave -d out, or use the line form: %run_container -d",
        )
    policy = arguments.text("pull", "missing")
    if policy not in _PULL_POLICIES:
        raise InvalidArgument(f'invalid value "{policy}" for --pull: missing, always or never')
    if stdin is None and arguments.flag("interactive") and not is_detached:
        # A line has nothing to read: the program sees the end of its input at once, and no cell
        # waits for ever for a keyboard that it does not have.
        stdin = b""
    return RunRequest(
        image=image,
        command=tuple(command),
        name=arguments.text("name"),
        platform=arguments.text("platform"),
        config=_config(arguments, environ),
        host_config=_host_config(arguments),
        stdin=stdin,
        is_detached=is_detached,
        keep_stdin_open=is_detached and arguments.flag("interactive"),
        pull=cast("Any", policy),
    )


def _config(arguments: Arguments, environ: Mapping[str, str]) -> dict[str, Any]:
    entrypoint = arguments.text("entrypoint")
    fields = {
        "Hostname": arguments.text("hostname"),
        "User": arguments.text("user"),
        "WorkingDir": arguments.text("workdir"),
        "Env": _environment(arguments.texts("env"), environ),
        "Labels": _labels(arguments.texts("label")),
        "Entrypoint": [entrypoint] if entrypoint else [],
    }
    return {name: value for name, value in fields.items() if value}


def _host_config(arguments: Arguments) -> dict[str, Any]:
    memory, cpus = arguments.text("memory"), arguments.text("cpus")
    fields = {
        "AutoRemove": arguments.flag("rm"),
        "NetworkMode": arguments.text("network") or arguments.text("net"),
        "Memory": parse_size(memory) if memory else 0,
        "NanoCpus": parse_cpus(cpus) if cpus else 0,
        "PidsLimit": arguments.number("pids-limit", 0),
        "CapAdd": list(arguments.texts("cap-add")),
        "CapDrop": list(arguments.texts("cap-drop")),
        "ReadonlyRootfs": arguments.flag("read-only"),
    }
    return {name: value for name, value in fields.items() if value}


def _environment(texts: tuple[str, ...], environ: Mapping[str, str]) -> list[str]:
    passed = []
    for text in texts:
        name, equals, _ = text.partition("=")
        if not name:
            raise InvalidArgument(f'invalid variable: "{text}"', "write NAME=VALUE")
        if equals:
            passed.append(text)
        elif name in environ:
            passed.append(f"{name}={environ[name]}")
    return passed


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in texts)}
