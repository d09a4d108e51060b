"""From a Dockerfile to stages of instructions. Pure; the words of errors are Docker's.

Reference: https://docs.docker.com/reference/dockerfile/. What variables stand for is found out when
an instruction is carried out (`words`), for only then their values are known.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from dockerlab.errors import InvalidArgument
from dockerlab.image.build import instructions as kinds
from dockerlab.image.build.arguments import Arguments, json_array, partition_word, split_pairs
from dockerlab.image.build.instructions import Dockerfile, Instruction, Stage, Words
from dockerlab.image.build.lines import Line, read_lines
from dockerlab.image.build.words import split_quoted
from dockerlab.units import parse_duration

__all__ = ["parse_dockerfile", "parse_trigger"]

_STAGE_NAME = re.compile(r"[a-z][a-z0-9._-]*")
_LEAST_INTERVAL_NS = 1_000_000
_MAX_STAGES = 1000


def parse_dockerfile(data: bytes) -> Dockerfile:
    """Parse a whole Dockerfile.

    Raises
    ------
    InvalidArgument
        With the number of the line, except where the file as a whole is wrong.
    """
    read = read_lines(data)
    if not read.lines:
        raise InvalidArgument("file with no instructions")
    parser = _Parser(read.escape)
    for line in read.lines:
        try:
            parser.add(line)
        except InvalidArgument as exc:
            raise InvalidArgument(
                f"dockerfile parse error line {line.number}: {exc.message}"
            ) from exc
    return Dockerfile(
        global_args=tuple(parser.global_args),
        stages=parser.finish(),
        escape=read.escape,
        warnings=read.warnings,
    )


class _Parser:
    def __init__(self, escape: str) -> None:
        self._escape = escape
        self._stages: list[Stage] = []
        self._below: list[Instruction] = []
        self.global_args: list[kinds.Arg] = []

    def add(self, line: Line) -> None:
        """Take the next line."""
        if _keyword(line) == "FROM":
            self._end_stage()
            self._stages.append(_parse_from(line, self._escape))
            return
        instruction = _parse_line(line, self._escape)
        if self._stages:
            self._below.append(instruction)
        elif isinstance(instruction, kinds.Arg):
            self.global_args.append(instruction)
        else:
            raise InvalidArgument("no build stage in current context")

    def finish(self) -> tuple[Stage, ...]:
        """Return the stages."""
        self._end_stage()
        if not self._stages:
            raise InvalidArgument("no build stage in current context")
        if len(self._stages) > _MAX_STAGES:
            raise InvalidArgument(f"the Dockerfile has more than {_MAX_STAGES} stages")
        return tuple(self._stages)

    def _end_stage(self) -> None:
        if self._stages:
            self._stages[-1] = replace(self._stages[-1], instructions=tuple(self._below))
        self._below = []


def parse_trigger(text: str) -> Instruction:
    """Parse what an image's ONBUILD says; raise InvalidArgument."""
    read = read_lines(text.encode())
    if len(read.lines) != 1:
        raise InvalidArgument(f'the ONBUILD trigger "{text}" is not one instruction')
    _check_trigger(_keyword(read.lines[0]))
    return _parse_line(read.lines[0], read.escape)


def _keyword(line: Line) -> str:
    return line.text.split(None, 1)[0].upper()


def _parse_line(line: Line, escape: str) -> Instruction:
    keyword = _keyword(line)
    parse = _PARSERS.get(keyword)
    if parse is None:
        raise InvalidArgument(f"unknown instruction: {keyword}")
    return parse(Arguments(line, escape))


# ------------------------------------------------------------------------------- the instructions


def _parse_from(line: Line, escape: str) -> Stage:
    given = Arguments(line, escape)
    flags = given.check_flags("platform")
    words = given.rest.split()
    name = ""
    if len(words) == 3 and words[1].upper() == "AS":  # noqa: PLR2004 - FROM base AS name
        name = words[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise InvalidArgument(
                f'invalid name for build stage: "{words[2]}", name can\'t start with a number or'
                " contain symbols"
            )
    elif len(words) != 1:
        raise InvalidArgument("FROM requires either one or three arguments")
    return Stage(text=line.text, base=words[0], name=name, platform=flags.get("platform", ""))


def _arg(given: Arguments) -> Instruction:
    given.check_flags()
    pairs: list[tuple[str, str | None]] = []
    given.some()
    for word in split_quoted(given.rest, given.escape):
        name, equals, value = word.partition("=")
        if not name:
            raise InvalidArgument("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return kinds.Arg(text=given.text, pairs=tuple(pairs))


def _run(given: Arguments) -> Instruction:
    flags = given.check_flags("mount", "network")
    given.some()
    network = flags.get("network", "")
    if network not in ("", "default", "none", "host"):
        raise InvalidArgument(f'invalid network "{network}": default, none and host are possible')
    return kinds.Run(
        text=given.text,
        command=given.command(),
        heredocs=given.line.heredocs,
        mounts=tuple(flag.value for flag in given.flags if flag.name == "mount"),
        network=network,
    )


def _command(given: Arguments) -> Instruction:
    given.check_flags()
    return kinds.Command(
        text=given.text,
        is_entrypoint=given.keyword == "ENTRYPOINT",
        command=given.command(),
    )


def _env(given: Arguments) -> Instruction:
    given.check_flags()
    return kinds.Env(text=given.text, pairs=split_pairs(given.rest, "ENV", given.escape))


def _label(given: Arguments) -> Instruction:
    given.check_flags()
    return kinds.Label(text=given.text, pairs=split_pairs(given.rest, "LABEL", given.escape))


def _copy(given: Arguments) -> Instruction:
    is_add = given.keyword == "ADD"
    known = ("chown", "chmod", "link") if is_add else ("from", "chown", "chmod", "link")
    flags = given.check_flags(*known)
    words = given.words()
    if len(words) < 2:  # noqa: PLR2004 - a source and a target
        raise InvalidArgument(f"{given.keyword} requires at least two arguments")
    return kinds.Copy(
        text=given.text,
        is_add=is_add,
        sources=tuple(words[:-1]),
        target=words[-1],
        origin=flags.get("from", ""),
        owner=flags.get("chown", ""),
        mode=flags.get("chmod", ""),
        heredocs=given.line.heredocs,
    )


def _expose(given: Arguments) -> Instruction:
    given.check_flags()
    return kinds.Expose(text=given.text, ports=tuple(given.some().split()))


def _volume(given: Arguments) -> Instruction:
    given.check_flags()
    given.some()
    paths = tuple(path.strip() for path in given.words())
    if not paths or not all(paths):
        raise InvalidArgument("VOLUME specified can not be an empty string")
    return kinds.Volume(text=given.text, paths=paths)


def _user(given: Arguments) -> Instruction:
    return kinds.User(text=given.text, user=given.one())


def _workdir(given: Arguments) -> Instruction:
    return kinds.Workdir(text=given.text, path=given.one())


def _check_trigger(keyword: str) -> None:
    if keyword == "ONBUILD":
        raise InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("FROM", "MAINTAINER"):
        raise InvalidArgument(f"{keyword} isn't allowed as an ONBUILD trigger")


def _onbuild(given: Arguments) -> Instruction:
    given.check_flags()
    trigger = given.some()
    _check_trigger(trigger.split(None, 1)[0].upper())
    below = "".join("\n" + each.source.removesuffix("\n") for each in given.line.heredocs)
    parse_trigger(trigger + below)  # Refused now, rather than in an image on this one.
    return kinds.OnBuild(text=given.text, trigger=trigger + below)


def _stop_signal(given: Arguments) -> Instruction:
    return kinds.StopSignal(text=given.text, signal=given.one())


def _health_check(given: Arguments) -> Instruction:
    names = ("interval", "timeout", "start-period", "start-interval", "retries")
    flags = given.check_flags(*names)
    word, rest = partition_word(given.some())
    kind = word.upper()
    if kind == "NONE":
        if rest:
            raise InvalidArgument("HEALTHCHECK NONE takes no arguments")
        return kinds.HealthCheck(text=given.text, command=None)
    if kind != "CMD":
        raise InvalidArgument(f'Unknown type "{word}" in HEALTHCHECK (try CMD)')
    array = json_array(rest.strip())
    if not rest.strip() or array == []:
        raise InvalidArgument("Missing command after HEALTHCHECK CMD")
    command = (
        Words((rest.strip(),), is_shell=True)
        if array is None
        else Words(tuple(array), is_shell=False)
    )
    times = {name: _interval(name, flags[name]) for name in names[:-1] if flags.get(name)}
    return kinds.HealthCheck(
        text=given.text,
        command=command,
        interval_ns=times.get("interval", 0),
        timeout_ns=times.get("timeout", 0),
        start_period_ns=times.get("start-period", 0),
        start_interval_ns=times.get("start-interval", 0),
        retries=_retries(flags.get("retries", "")),
    )


def _interval(name: str, text: str) -> int:
    value = round(parse_duration(text) * 1e9)
    if 0 < value < _LEAST_INTERVAL_NS:
        raise InvalidArgument(f'Interval "{name}" cannot be less than 1ms')
    return value


def _retries(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise InvalidArgument(f'--retries must be a number that is not negative, not "{text}"')
    return int(text)


def _shell(given: Arguments) -> Instruction:
    given.check_flags()
    words = json_array(given.rest)
    if words is None:
        raise InvalidArgument("SHELL requires the arguments to be in JSON form")
    if not words:
        raise InvalidArgument("SHELL requires at least one argument")
    return kinds.Shell(text=given.text, words=tuple(words))


def _maintainer(given: Arguments) -> Instruction:
    return kinds.Maintainer(text=given.text, name=given.one())


_PARSERS: dict[str, Callable[[Arguments], Instruction]] = {
    "ADD": _copy,
    "ARG": _arg,
    "CMD": _command,
    "COPY": _copy,
    "ENTRYPOINT": _command,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _health_check,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
