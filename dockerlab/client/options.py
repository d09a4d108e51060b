"""What a run can be told, in words, and the request that comes of it.

`RunOptions` has the names of the docker command line's flags with ``_`` for ``-``; the magics'
lines and the Python API both end here, so that a flag means the same in both. It decides and does
nothing.
The fields are ContainerConfig's and HostConfig's of Engine API 1.44.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast, get_args

from dockerlab.client.request import PullPolicy, RunRequest
from dockerlab.errors import InvalidArgument
from dockerlab.units import parse_cpus, parse_size

__all__ = ["RunOptions", "command_words", "make_request"]


class RunOptions(TypedDict, total=False):
    """How a container is run; what is left out is the image's or the engine's choice.

    ``memory`` is bytes or a text such as ``64m``; ``cpus`` a number of processors; ``env`` a
    mapping or ``NAME=VALUE`` texts; ``input`` is the program's standard input; ``pull`` is
    ``missing``, ``always`` or ``never``.
    """

    name: str
    hostname: str
    labels: Mapping[str, str]
    env: Mapping[str, str] | Sequence[str]
    workdir: str
    user: str
    entrypoint: str
    memory: str | int
    cpus: str | float
    pids_limit: int
    network: str
    cap_add: Sequence[str]
    cap_drop: Sequence[str]
    read_only: bool
    rm: bool
    detach: bool
    interactive: bool
    input: str | bytes | None
    pull: str
    platform: str


def command_words(command: str | Sequence[str]) -> tuple[str, ...]:
    """Return a command as its words; a text is split as a shell does, and no shell is run.

    Raises
    ------
    InvalidArgument
        A quote is open.

    Examples
    --------
    >>> command_words("echo 'hello world'")
    ('echo', 'hello world')
    """
    if not isinstance(command, str):
        return tuple(command)
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise InvalidArgument(f"cannot read the command: {str(error).lower()}") from None


def make_request(image: str, command: Sequence[str], options: RunOptions) -> RunRequest:
    """Return the request for a run.

    Parameters
    ----------
    image : str
        Reference or id.
    command : sequence of str
        In place of the image's; () keeps that.
    options : RunOptions
        The rest.

    Raises
    ------
    InvalidArgument
        A value cannot be right, or options contradict each other.
    """
    unknown = sorted(set(options) - set(RunOptions.__annotations__))
    if unknown:
        raise InvalidArgument(
            f'no such option of a run: "{unknown[0]}"',
            f"known options: {', '.join(sorted(RunOptions.__annotations__))}",
        )
    policy = options.get("pull") or "missing"
    if policy not in get_args(PullPolicy):
        raise InvalidArgument(f'invalid value "{policy}" for pull: missing, always or never')
    given, is_detached = options.get("input"), options.get("detach", False)
    if is_detached and given is not None:
        raise InvalidArgument(
            "a detached container reads no input", "leave out one of detach and input"
        )
    return RunRequest(
        image=image,
        command=tuple(command),
        name=options.get("name", ""),
        platform=options.get("platform", ""),
        config=_config(options),
        host_config=_host_config(options),
        stdin=given.encode() if isinstance(given, str) else given,
        is_detached=is_detached,
        keep_stdin_open=is_detached and options.get("interactive", False),
        pull=cast("PullPolicy", policy),
    )


def _config(options: RunOptions) -> dict[str, Any]:
    entrypoint = options.get("entrypoint")
    fields = {
        "Hostname": options.get("hostname"),
        "User": options.get("user"),
        "WorkingDir": options.get("workdir"),
        "Env": _environment(options.get("env") or ()),
        "Labels": dict(options.get("labels") or {}),
        "Entrypoint": [entrypoint] if entrypoint else [],
    }
    return {name: value for name, value in fields.items() if value}


def _host_config(options: RunOptions) -> dict[str, Any]:
    memory, cpus = options.get("memory"), options.get("cpus")
    fields = {
        "AutoRemove": options.get("rm"),
        "NetworkMode": options.get("network"),
        "Memory": parse_size(str(memory)) if memory else 0,
        "NanoCpus": parse_cpus(str(cpus)) if cpus else 0,
        "PidsLimit": options.get("pids_limit", 0),
        "CapAdd": list(options.get("cap_add") or ()),
        "CapDrop": list(options.get("cap_drop") or ()),
        "ReadonlyRootfs": options.get("read_only"),
    }
    return {name: value for name, value in fields.items() if value}


def _environment(variables: Mapping[str, str] | Sequence[str]) -> list[str]:
    if isinstance(variables, Mapping):
        return [f"{name}={value}" for name, value in variables.items()]
    if isinstance(variables, str):
        return [variables]
    return list(variables)
