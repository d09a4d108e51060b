"""The instructions of a Dockerfile as values. They say what is asked for; nothing here acts."""

from dataclasses import dataclass

from dockerlab.image.build.lines import Heredoc

__all__ = [
    "Arg",
    "Command",
    "Copy",
    "Dockerfile",
    "Env",
    "Expose",
    "Flag",
    "HealthCheck",
    "Instruction",
    "Label",
    "Maintainer",
    "OnBuild",
    "Run",
    "Shell",
    "Stage",
    "StopSignal",
    "User",
    "Volume",
    "Words",
    "Workdir",
]

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Words:
    """A command: in exec form its words, in shell form one text for the shell."""

    words: tuple[str, ...]
    is_shell: bool


@dataclass(frozen=True, slots=True)
class Flag:
    """``--name=value`` between an instruction and its arguments."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What all have: `text` is the whole instruction, continuations joined."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    """``ARG name[=default] ...``; None is no default."""

    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Instruction):
    """``RUN``, its mounts as they are written."""

    command: Words
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()
    network: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Instruction):
    """``CMD`` or ``ENTRYPOINT``."""

    is_entrypoint: bool
    command: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Instruction):
    """``ENV``; values with their quotes and variables."""

    pairs: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    """``LABEL``; values with their quotes and variables, unless `is_plain`."""

    pairs: Pairs
    is_plain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Instruction):
    """``COPY`` or ``ADD``; `origin` is a stage or an image, '' the context."""

    is_add: bool
    sources: tuple[str, ...]
    target: str
    origin: str = ""
    owner: str = ""
    mode: str = ""
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    """``EXPOSE``; ports as they are written."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    """``VOLUME``."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    """``USER``."""

    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    """``WORKDIR``."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBuild(Instruction):
    """``ONBUILD``; what is to be done in images that are built on this one."""

    trigger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Instruction):
    """``STOPSIGNAL``."""

    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck(Instruction):
    """``HEALTHCHECK``; None is ``NONE``, times are nanoseconds and 0 the default."""

    command: Words | None
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    """``SHELL``."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    """``MAINTAINER``."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """``FROM base [AS name]`` and what follows; `base` and `platform` have variables still."""

    text: str
    base: str
    name: str = ""
    platform: str = ""
    instructions: tuple[Instruction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """All of it. `global_args` stand before the first stage."""

    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    escape: str
    warnings: tuple[str, ...] = ()
