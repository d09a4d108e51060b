"""The table of commands is consistent, and every magic it names exists."""

import importlib

import pytest

from dockerlab.client.options import RunOptions, UpdateOptions
from dockerlab.errors import InvalidArgument
from dockerlab.notebook.commands import COMMANDS, RUN, UPDATE
from dockerlab.notebook.extension import MAGICS
from dockerlab.notebook.options import Command


@pytest.mark.parametrize("name", COMMANDS)
def test_no_spelling_means_two_flags(name: str) -> None:
    spellings = [text for option in COMMANDS[name].options for text in option.spellings]

    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_line_that_is_accepted(name: str) -> None:
    for example in COMMANDS[name].examples:
        _, _, rest = example.partition(f"%{name}")
        COMMANDS[name].parse(rest)


@pytest.mark.parametrize("part", [part for each in COMMANDS.values() for part in each.parts])
def test_every_example_of_a_part_is_read_as_that_part(part: Command) -> None:
    whole = COMMANDS[part.name.partition(" ")[0]]
    for example in part.examples:
        _, _, rest = example.partition(f"%{whole.name}")
        assert whole.choose(rest.split())[0] is part
    for word in part.aliases:
        assert whole.part(word) is part


def test_a_part_that_is_not_there_gets_the_word_that_was_meant() -> None:
    with pytest.raises(InvalidArgument) as caught:
        COMMANDS["volume"].choose(["craete"])

    assert caught.value.hint == "did you mean create?"
    assert "ls        List volumes" in COMMANDS["volume"].help()


@pytest.mark.parametrize(("command", "kind"), [(RUN, RunOptions), (UPDATE, UpdateOptions)])
def test_every_flag_is_an_option_of_the_python_api(command: Command, kind: type) -> None:
    names = {option.name.replace("-", "_") for option in command.options}

    # A label is one of several there; --net is another word for --network.
    assert names - {"label", "net"} == set(kind.__annotations__) - {"labels", "input"}


def test_every_command_is_declared_once() -> None:
    declared = [command.name for commands in MAGICS.values() for command in commands]

    assert sorted(declared) == sorted(COMMANDS)


@pytest.mark.parametrize("module", MAGICS)
def test_the_module_of_a_magic_has_it(module: str) -> None:
    for command in MAGICS[module]:
        for part in command.parts or (command,):
            name = part.name.replace(" ", "_")
            assert callable(getattr(importlib.import_module(module), name))
