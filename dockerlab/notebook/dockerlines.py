"""Command lines of Docker's own program, and which magic each of them is.

It decides and does nothing. Short forms (`docker ps`) and management forms (`docker container ls`)
end at the same magic; so does a magic that is added later, by its name. The words are those of
`docker --help` (Docker 24), so that a command that Docker has and this package has not yet is told
apart from a slip of the keyboard.
"""

import difflib
from collections.abc import Sequence

from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.notebook.commands import COMMANDS
from dockerlab.notebook.options import Command

__all__ = ["find_command", "read_line"]

# Where the magic is called otherwise than the command.
_RENAMED = {"run": "run_container"}

_MANAGEMENT: dict[str, dict[str, str]] = {
    "container": {"ls": "ps", "list": "ps", "remove": "rm"},
    "image": {"ls": "images", "list": "images", "rm": "rmi", "remove": "rmi"},
    "system": {},
}
# Which of the short commands a management form has, by their short names.
_UNDER = {
    "container": [
        "attach",
        "commit",
        "cp",
        "create",
        "diff",
        "exec",
        "export",
        "inspect",
        "kill",
        "logs",
        "pause",
        "port",
        "ps",
        "rename",
        "restart",
        "rm",
        "run",
        "start",
        "stats",
        "stop",
        "top",
        "unpause",
        "update",
        "wait",
    ],
    "image": [
        "build",
        "history",
        "images",
        "import",
        "inspect",
        "load",
        "pull",
        "push",
        "rmi",
        "save",
        "tag",
    ],
    "system": ["df", "events", "info", "prune"],
}
# `docker inspect` looks everywhere; the management forms in one place.
_KIND = {("container", "inspect"): "container", ("image", "inspect"): "image"}

_SHORT = [
    "attach",
    "build",
    "commit",
    "cp",
    "create",
    "diff",
    "events",
    "exec",
    "export",
    "history",
    "images",
    "import",
    "info",
    "inspect",
    "kill",
    "load",
    "login",
    "logout",
    "logs",
    "pause",
    "port",
    "ps",
    "pull",
    "push",
    "rename",
    "restart",
    "rm",
    "rmi",
    "run",
    "save",
    "search",
    "start",
    "stats",
    "stop",
    "tag",
    "top",
    "unpause",
    "update",
    "version",
    "wait",
]
_OTHER_MANAGEMENT = [
    "builder",
    "buildx",
    "compose",
    "config",
    "context",
    "manifest",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "stack",
    "swarm",
    "trust",
    "volume",
]
_DOCKER = {*_SHORT, *_MANAGEMENT, *_OTHER_MANAGEMENT}


def find_command(words: Sequence[str]) -> tuple[Command | None, list[str]]:
    """Return the magic's command of a line, and the words behind it; None where there is none."""
    if not words:
        return None, []
    first, rest = words[0], list(words[1:])
    if first in _MANAGEMENT:
        if not rest:
            return None, []
        second = _MANAGEMENT[first].get(rest[0], rest[0])
        if second not in _UNDER[first]:
            return None, rest
        kind = _KIND.get((first, second))
        extra = ["--type", kind] if kind else []
        return _magic(second), [*extra, *rest[1:]]
    return (_magic(first) if first in _DOCKER else None), rest


def read_line(words: Sequence[str]) -> tuple[Command, list[str]]:
    """Return the magic's command of a line of Docker's, and the words behind it.

    Raises
    ------
    Unsupported
        Docker has the command, this package has not.
    InvalidArgument
        Docker has no such command; the hint names the one that was probably meant.

    Examples
    --------
    >>> command, words = read_line(["container", "ls", "-a"])
    >>> command.name, words
    ('ps', ['-a'])
    """
    command, rest = find_command(words)
    if command is not None:
        return command, rest
    first = words[0]
    if first not in _DOCKER:
        raise _unknown(f"docker {first}", first, sorted(_DOCKER))
    if first not in _MANAGEMENT:
        raise _missing(f"docker {first}")
    known = sorted({*_UNDER[first], *_MANAGEMENT[first]})
    if len(words) == 1:
        raise InvalidArgument(f"docker {first} takes a command", f"one of: {', '.join(known)}")
    if _MANAGEMENT[first].get(words[1], words[1]) not in _UNDER[first]:
        raise _unknown(f"docker {first} {words[1]}", words[1], known)
    raise _missing(f"docker {first} {words[1]}")


def _magic(name: str) -> Command | None:
    return COMMANDS.get(_RENAMED.get(name, name))


def _missing(line: str) -> Unsupported:
    return Unsupported(
        f"{line} is not supported yet",
        "what there is: the table of magics in README.md, or %lsmagic",
    )


def _unknown(line: str, word: str, known: Sequence[str]) -> InvalidArgument:
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known commands: {', '.join(known)}"
    return InvalidArgument(f"unknown command: {line}", hint)
