"""Lines of a Dockerfile that change an image's config without running anything: ``--change``.

Pure functions. The forms are those of the Dockerfile reference; which instructions may come here is
the documentation of `docker commit` and `docker import`.
"""

import posixpath
import re
from collections.abc import Callable, Sequence

import msgspec

from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.oci.imageconfig import RunConfig

__all__ = ["apply_changes"]

_SHELL = ("/bin/sh", "-c")
_ELSEWHERE = frozenset({"HEALTHCHECK", "ONBUILD"})
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII)
_MAX_PORT = 65535
_VARIABLE = re.compile(
    r"\\(?P<escaped>.)|\$(?:(?P<name>\w+)|\{(?P<braced>\w+)(?::(?P<sign>[-+])(?P<word>[^}]*))?\})",
    re.ASCII,
)
# A word: pieces in quotes, escaped characters, and what is neither.
_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+""")
_PIECE = re.compile(r""""(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>[^']*)'|(?P<plain>\\.|[^"'])""")


def apply_changes(config: RunConfig, lines: Sequence[str]) -> RunConfig:
    """Return the config with the lines applied, in order.

    Raises
    ------
    InvalidArgument
        A line is not an instruction, or one that needs a build.
    Unsupported
        HEALTHCHECK and ONBUILD.

    Examples
    --------
    >>> apply_changes(RunConfig(), ['CMD ["a", "b"]', "ENV X=1"]).cmd
    ('a', 'b')
    """
    has_cmd = any(_split(line)[0] == "CMD" for line in lines if line.strip())
    for line in lines:
        if not line.strip():
            continue
        name, rest = _split(line)
        if name in _ELSEWHERE:
            raise Unsupported(f"{name} cannot be a change here: use a Dockerfile")
        change = _CHANGES.get(name)
        if change is None:
            raise InvalidArgument(
                f'"{line[:100]}" cannot be a change: there are {", ".join(sorted(_CHANGES))}'
            )
        if not rest:
            raise InvalidArgument(f"{name} requires at least one argument")
        config = change(config, rest)
        if name == "ENTRYPOINT" and not has_cmd:
            # The command was made for another program.
            config = msgspec.structs.replace(config, cmd=None)
    return config


def _split(line: str) -> tuple[str, str]:
    name, _, rest = line.strip().partition(" ")
    return name.upper(), rest.strip()


def _cmd(config: RunConfig, rest: str) -> RunConfig:
    return msgspec.structs.replace(config, cmd=_command(config, rest))


def _entrypoint(config: RunConfig, rest: str) -> RunConfig:
    return msgspec.structs.replace(config, entrypoint=_command(config, rest))


def _env(config: RunConfig, rest: str) -> RunConfig:
    env = dict(entry.partition("=")[::2] for entry in config.env or ())
    env |= _pairs(rest, "ENV", _variables(config))
    return msgspec.structs.replace(config, env=tuple(f"{k}={v}" for k, v in env.items()))


def _expose(config: RunConfig, rest: str) -> RunConfig:
    ports = dict(config.exposed_ports or {})
    for word in _expand(rest, _variables(config)).split():
        match = _PORTS.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if match is None or not 0 < first <= last <= _MAX_PORT:
            raise InvalidArgument(f'invalid port "{word}": expected as 80, 80/udp or 80-90')
        ports |= {f"{port}/{match[3] or 'tcp'}": {} for port in range(first, last + 1)}
    return msgspec.structs.replace(config, exposed_ports=ports)


def _label(config: RunConfig, rest: str) -> RunConfig:
    labels = {**(config.labels or {}), **_pairs(rest, "LABEL", _variables(config))}
    return msgspec.structs.replace(config, labels=labels)


def _stop_signal(config: RunConfig, rest: str) -> RunConfig:
    return msgspec.structs.replace(config, stop_signal=_expand(rest, _variables(config)))


def _user(config: RunConfig, rest: str) -> RunConfig:
    return msgspec.structs.replace(config, user=_expand(rest, _variables(config)))


def _volume(config: RunConfig, rest: str) -> RunConfig:
    paths = _json(rest) or tuple(_expand(rest, _variables(config)).split())
    if not all(path.strip() for path in paths):
        raise InvalidArgument("VOLUME specified can not be an empty string")
    volumes = {**(config.volumes or {}), **{path: {} for path in paths}}
    return msgspec.structs.replace(config, volumes=volumes)


def _working_dir(config: RunConfig, rest: str) -> RunConfig:
    path = _expand(rest, _variables(config))
    path = posixpath.normpath(posixpath.join(config.working_dir or "/", path))
    return msgspec.structs.replace(config, working_dir=path)


_CHANGES: dict[str, Callable[[RunConfig, str], RunConfig]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _working_dir,
}


def _command(config: RunConfig, rest: str) -> tuple[str, ...]:
    """Return the words of the JSON form, or a shell with the text."""
    words = _json(rest)
    return words if words is not None else (*(config.shell or _SHELL), rest)


def _json(text: str) -> tuple[str, ...] | None:
    """Return the words of a JSON list, None when it is none: then it is a text (the reference)."""
    if not text.startswith("["):
        return None
    try:
        return msgspec.json.decode(text, type=tuple[str, ...])
    except (msgspec.MsgspecError, RecursionError):
        return None


def _pairs(rest: str, name: str, variables: dict[str, str]) -> dict[str, str]:
    """Return the pairs of ``KEY=VALUE …``, or the one of the old form ``KEY VALUE``."""
    words = _WORD.findall(rest)
    if words and "=" not in words[0]:
        key, _, value = rest.partition(" ")
        if not value.strip():
            raise InvalidArgument(f"{name} must have two arguments: {rest[:100]}")
        return {key: _expand(value.strip(), variables)}
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = _unquoted(key, variables)
        if not equals or not key:
            raise InvalidArgument(f'can\'t find = in "{word[:100]}": {name} takes KEY=VALUE')
        pairs[key] = _unquoted(value, variables)
    return pairs


def _unquoted(word: str, variables: dict[str, str]) -> str:
    """Take quotes away and put values in the place of variables, except in single quotes."""
    done, pending = [], ""
    for piece in _PIECE.finditer(word):
        if piece["plain"] is not None:
            pending += piece["plain"]
            continue
        done.append(_expand(pending, variables))
        pending = ""
        single = piece["single"]
        done.append(_expand(piece["double"], variables) if single is None else single)
    return "".join([*done, _expand(pending, variables)])


def _expand(text: str, variables: dict[str, str]) -> str:
    """Put values in place of ``$NAME``, ``${NAME}``, ``${NAME:-word}`` and ``${NAME:+word}``."""

    def value(match: re.Match[str]) -> str:
        """Return what stands for one of them."""
        if (escaped := match["escaped"]) is not None:
            return escaped
        known = variables.get(match["name"] or match["braced"] or "", "")
        if match["sign"] == "-":
            return known or match["word"]
        if match["sign"] == "+":
            return match["word"] if known else ""
        return known

    return _VARIABLE.sub(value, text)


def _variables(config: RunConfig) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in config.env or ())
