"""What an instruction that makes no layer changes in an image's config. Pure functions.

Each gives the line of the history too, in the words of Docker's classic builder.
"""

import json
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dockerlab.engine.signals import parse_signal
from dockerlab.errors import InvalidArgument
from dockerlab.image.build import instructions as kinds
from dockerlab.image.build.words import expand, expand_words
from dockerlab.oci.imageconfig import ImageHealthCheck, RunConfig

__all__ = [
    "Change",
    "change",
    "join_workdir",
    "nothing_line",
    "shell_of",
    "sorted_pairs",
    "variables_of",
]

_SHELL = ("/bin/sh", "-c")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([A-Za-z]+))?", re.ASCII)
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Change:
    """A config after an instruction, and what the history says of it."""

    config: RunConfig
    comment: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an instruction stands: the config before it, and what its variables mean."""

    config: RunConfig
    variables: Mapping[str, str]
    escape: str
    has_cmd: bool

    def expand(self, word: str) -> str:
        """Return a word with its variables replaced."""
        return expand(word, self.variables, self.escape)

    def replace(self, comment: str, **members: Any) -> Change:
        """Return the changed config."""
        return Change(msgspec.structs.replace(self.config, **members), comment)


def change(
    instruction: kinds.Instruction,
    config: RunConfig,
    variables: Mapping[str, str],
    *,
    escape: str = "\\",
    has_cmd: bool = False,
) -> Change:
    """Apply an instruction to a config.

    Parameters
    ----------
    variables : mapping
        What ``$name`` stands for.
    has_cmd : bool
        This stage has a CMD of its own, which an ENTRYPOINT behind it leaves.

    Raises
    ------
    InvalidArgument
        Something in it cannot be right.
    """
    return _CHANGES[type(instruction)](
        instruction, _Place(config, variables, escape, has_cmd=has_cmd)
    )


def shell_of(config: RunConfig) -> tuple[str, ...]:
    """Return the shell of the image: what SHELL says, or Docker's."""
    return config.shell or _SHELL


def variables_of(config: RunConfig) -> dict[str, str]:
    """Return the environment of the image."""
    return dict(entry.partition("=")[::2] for entry in config.env or ())


def nothing_line(config: RunConfig, comment: str) -> str:
    """Return the history's line of a step that runs nothing (moby, ``#(nop)``)."""
    return " ".join((*shell_of(config), "#(nop) " + comment))


def join_workdir(config: RunConfig, path: str) -> str:
    """Return an absolute path: a relative one is below the working directory."""
    return posixpath.normpath("/" + posixpath.join(config.working_dir or "/", path).lstrip("/"))


def _env(instruction: kinds.Env, place: _Place) -> Change:
    env = variables_of(place.config)
    words = []
    for raw_name, raw_value in instruction.pairs:
        name, value = place.expand(raw_name), place.expand(raw_value)
        if not name:
            raise InvalidArgument("ENV names can not be blank")
        env[name] = value
        words.append(f"{name}={value}")
    return place.replace(
        " ENV " + " ".join(words), env=tuple(f"{name}={value}" for name, value in env.items())
    )


def _label(instruction: kinds.Label, place: _Place) -> Change:
    labels = dict(place.config.labels or {})
    words = []
    for raw_name, raw_value in instruction.pairs:
        name, value = raw_name, raw_value
        if not instruction.is_plain:
            name, value = place.expand(name), place.expand(value)
        if not name:
            raise InvalidArgument("LABEL names can not be blank")
        labels[name] = value
        words.append(f"{name}={value}")
    return place.replace(" LABEL " + " ".join(words), labels=labels)


def _command(instruction: kinds.Command, place: _Place) -> Change:
    command = instruction.command
    words = (*shell_of(place.config), *command.words) if command.is_shell else command.words
    if not command.words:
        words = ()
    quoted = " ".join(json.dumps(word, ensure_ascii=False) for word in words)
    if not instruction.is_entrypoint:
        return place.replace(f" CMD [{quoted}]", cmd=words or None)
    comment = f" ENTRYPOINT [{quoted}]"
    if place.has_cmd:
        return place.replace(comment, entrypoint=words or None)
    # The command was the base image's, made for another program.
    return place.replace(comment, entrypoint=words or None, cmd=None)


def _expose(instruction: kinds.Expose, place: _Place) -> Change:
    words = [
        word
        for text in instruction.ports
        for word in expand_words(text, place.variables, place.escape)
    ]
    ports = dict(place.config.exposed_ports or {})
    for word in words:
        match = _PORTS.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if match is None or not 0 <= first <= last <= _MAX_PORT:
            raise InvalidArgument(f"Invalid containerPort: {word}")
        protocol = (match[3] or "tcp").lower()
        if protocol not in ("tcp", "udp", "sctp"):
            raise InvalidArgument(f"Invalid proto: {match[3]}")
        ports |= {f"{port}/{protocol}": {} for port in range(first, last + 1)}
    return place.replace(" EXPOSE " + " ".join(sorted(words)), exposed_ports=ports)


def _volume(instruction: kinds.Volume, place: _Place) -> Change:
    paths = [place.expand(path) for path in instruction.paths]
    if not all(paths):
        raise InvalidArgument("VOLUME specified can not be an empty string")
    volumes = dict(place.config.volumes or {}) | {path: {} for path in paths}
    return place.replace(f" VOLUME [{' '.join(paths)}]", volumes=volumes)


def _user(instruction: kinds.User, place: _Place) -> Change:
    user = place.expand(instruction.user)
    return place.replace(f" USER {user}", user=user)


def _workdir(instruction: kinds.Workdir, place: _Place) -> Change:
    path = place.expand(instruction.path)
    if not path:
        raise InvalidArgument("cannot normalize nothing: WORKDIR needs a path")
    path = join_workdir(place.config, path)
    return place.replace(f"WORKDIR {path}", working_dir=path)


def _onbuild(instruction: kinds.OnBuild, place: _Place) -> Change:
    triggers = (*(place.config.on_build or ()), instruction.trigger)
    return place.replace(f" ONBUILD {instruction.trigger}", on_build=triggers)


def _stop_signal(instruction: kinds.StopSignal, place: _Place) -> Change:
    signal = place.expand(instruction.signal)
    parse_signal(signal)
    return place.replace(f" STOPSIGNAL {signal}", stop_signal=signal)


def _health_check(instruction: kinds.HealthCheck, place: _Place) -> Change:
    command = instruction.command
    if command is None:
        test: tuple[str, ...] = ("NONE",)
    else:
        test = ("CMD-SHELL" if command.is_shell else "CMD", *command.words)
    health = ImageHealthCheck(
        test=test,
        interval=instruction.interval_ns or None,
        timeout=instruction.timeout_ns or None,
        start_period=instruction.start_period_ns or None,
        start_interval=instruction.start_interval_ns or None,
        retries=instruction.retries or None,
    )
    facts = json.dumps(msgspec.to_builtins(health), ensure_ascii=False)
    return place.replace(f" HEALTHCHECK {facts}", healthcheck=health)


def _shell(instruction: kinds.Shell, place: _Place) -> Change:
    return place.replace(f" SHELL [{' '.join(instruction.words)}]", shell=instruction.words)


def _maintainer(instruction: kinds.Maintainer, place: _Place) -> Change:
    return place.replace(f" MAINTAINER {instruction.name}")


_CHANGES: dict[type[kinds.Instruction], Callable[[Any, _Place], Change]] = {
    kinds.Command: _command,
    kinds.Env: _env,
    kinds.Expose: _expose,
    kinds.HealthCheck: _health_check,
    kinds.Label: _label,
    kinds.Maintainer: _maintainer,
    kinds.OnBuild: _onbuild,
    kinds.Shell: _shell,
    kinds.StopSignal: _stop_signal,
    kinds.User: _user,
    kinds.Volume: _volume,
    kinds.Workdir: _workdir,
}


def sorted_pairs(values: Mapping[str, str]) -> Sequence[str]:
    """Return ``name=value`` by name."""
    return [f"{name}={value}" for name, value in sorted(values.items())]
