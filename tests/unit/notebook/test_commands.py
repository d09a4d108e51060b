"""The table of commands is consistent, and every magic it names exists."""

import importlib

import pytest

from dockerlab.notebook.commands import COMMANDS
from dockerlab.notebook.extension import MAGICS


@pytest.mark.parametrize("name", COMMANDS)
def test_no_spelling_means_two_flags(name: str) -> None:
    spellings = [text for option in COMMANDS[name].options for text in option.spellings]

    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_line_that_is_accepted(name: str) -> None:
    for example in COMMANDS[name].examples:
        _, _, rest = example.partition(f"%{name}")
        COMMANDS[name].parse(rest)


def test_every_command_is_declared_once() -> None:
    declared = [command.name for commands in MAGICS.values() for command in commands]

    assert sorted(declared) == sorted(COMMANDS)


@pytest.mark.parametrize("module", MAGICS)
def test_the_module_of_a_magic_has_it(module: str) -> None:
    for command in MAGICS[module]:
        assert callable(getattr(importlib.import_module(module), command.name))
