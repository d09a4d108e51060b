"""The line of `%run_container` as a `RunRequest`: flags in, options of a run out.

It decides and does nothing. What an option means is in `client.options`; here is what only a line
has, such as the variables of the kernel and the cell's body.
"""

from collections.abc import Mapping
from typing import Any, cast

from dockerlab.client.options import RunOptions, make_request
from dockerlab.client.request import RunRequest
from dockerlab.errors import InvalidArgument
from dockerlab.notebook.commands import RUN
from dockerlab.notebook.options import Arguments, Command, Option

__all__ = ["options_of", "run_request"]


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
    if stdin is None and arguments.flag("interactive") and not is_detached:
        # A line has nothing to read: the program sees the end of its input at once, and no cell
        # waits for ever for a keyboard that it does not have.
        stdin = b""
    options = options_of(RUN, arguments)
    options["env"] = _environment(arguments.texts("env"), environ)
    options["labels"] = options.pop("label")
    network = options.pop("net")
    options["network"] = options["network"] or network
    options["input"] = stdin
    return make_request(image, command, cast("RunOptions", options))


def options_of(command: Command, arguments: Arguments) -> dict[str, Any]:
    """Return the values of every flag of a command, under its name with ``_`` for ``-``."""
    return {option.name.replace("-", "_"): _value(option, arguments) for option in command.options}


def _value(option: Option, arguments: Arguments) -> str | bool | tuple[str, ...]:
    if option.is_list:
        return arguments.texts(option.name)
    return arguments.text(option.name) if option.metavar else arguments.flag(option.name)


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
