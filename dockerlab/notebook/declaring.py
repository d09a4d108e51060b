"""How a command becomes a magic: its line is parsed, its help shown, its output silenceable.

A magic's code is loaded when it is first used, so that loading the extension costs little:
`declare` keeps only the name of the module that has it.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from IPython.core.magic import output_can_be_silenced

from dockerlab.notebook.connection import Connection
from dockerlab.notebook.options import Command, split_line
from dockerlab.notebook.text import say

__all__ = ["Lab", "declare", "perform"]


@dataclass(frozen=True, slots=True)
class Lab:
    """What every magic of one kernel is given.

    Parameters
    ----------
    connection : Connection
        The engine they use.
    has_front_end : bool
        A kernel runs this, and not a terminal or a script.
    """

    connection: Connection
    has_front_end: bool = False


def declare(lab: Lab, command: Command, module: str) -> Callable[..., Any]:
    """Return the magic of a command.

    Parameters
    ----------
    lab : Lab
        Handed to the magic.
    command : Command
        What it takes; ``--help`` and ``%name?`` show its help.
    module : str
        Where the function of the command's name is: it is given the lab, the parsed line and, in
        the cell form, the cell's body.
    """

    @output_can_be_silenced
    def magic(line: str, *cell: str) -> Any:
        """Parse the line and act; `%name?` shows the command's help in place of this."""
        return perform(lab, command, module, split_line(line), *cell)

    magic.__doc__ = command.help()
    magic.__name__ = command.name
    return magic


def perform(lab: Lab, command: Command, module: str, words: Sequence[str], *cell: str) -> Any:
    """Do what a line asks for, or show the command's help; parameters as in `declare`.

    The function of a command with parts (`volume ls`) is that of the part: ``volume_ls``.
    """
    chosen, arguments = command.choose(words)
    if arguments.flag("help"):
        say(chosen.help())
        return None
    act = getattr(importlib.import_module(module), chosen.name.replace(" ", "_"))
    return act(lab, arguments, *cell)
