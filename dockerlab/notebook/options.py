"""Command lines of the magics: flags spelled as the Docker CLI's, as values.

A `Command` says what a magic takes. The parser, the help text that `%pull?` shows and the
completion all read it, so that they cannot disagree. The rules are those of Docker's own parser
(spf13/pflag): ``--name x`` and ``--name=x``, ``-m512m`` and ``-m 512m``, short flags joined as in
``-aq``, ``--rm=false``, ``--`` ends the flags. This is not argparse, which guesses at abbreviations
and reads flags that belong to the container's own command.
"""

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from dockerlab.errors import InvalidArgument

__all__ = ["Arguments", "Command", "Option", "split_line"]

# What the Tab key offers for an operand or for a flag's value.
# A "place" is a path here, or one in a container.
Completes = Literal["", "image", "container", "volume", "place", "engine"]

_TRUE = ("true", "1", "t")
_FALSE = ("false", "0", "f")
_HELP_WIDTH = 24
_PART_WIDTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One flag.

    Parameters
    ----------
    name : str
        The long spelling without its dashes.
    short : str
        The one letter, or ''.
    metavar : str
        What its value is called in the help; '' for a flag without value.
    help : str
        One phrase.
    is_list : bool
        It may be given more than once.
    completes : str
        What the Tab key offers for its value.
    """

    name: str
    help: str
    short: str = ""
    metavar: str = ""
    is_list: bool = False
    completes: Completes = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """The flag as it is typed, short form first."""
        return (f"-{self.short}", f"--{self.name}") if self.short else (f"--{self.name}",)

    def describe(self) -> str:
        """Return its line in the help text."""
        left = f"{', '.join(self.spellings)} {self.metavar}".rstrip()
        return f"  {left:<{_HELP_WIDTH}}  {self.help}"


@dataclass(frozen=True, slots=True)
class Arguments:
    """A parsed line: the flags that were given, and the operands."""

    operands: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def flag(self, name: str) -> bool:
        """Tell whether the flag without value was given."""
        return name in self.flags

    def text(self, name: str, default: str = "") -> str:
        """Return the value that was given last."""
        return self.values[name][-1] if name in self.values else default

    def texts(self, name: str) -> tuple[str, ...]:
        """Return every value that was given."""
        return self.values.get(name, ())

    def number(self, name: str, default: int) -> int:
        """Return the value as a whole number.

        Raises
        ------
        InvalidArgument
            It is none.
        """
        text = self.text(name, str(default))
        try:
            return int(text)
        except ValueError:
            raise InvalidArgument(f'invalid number "{text}" for --{name}') from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What one magic takes.

    Parameters
    ----------
    name : str
        The magic's name.
    summary : str
        One sentence.
    operands : str
        As the help shows them: ``IMAGE [COMMAND] [ARG...]``.
    examples : tuple of str
        Lines that work as they are.
    options : tuple of Option
        Its flags.
    least, most : int
        How many operands it takes; `most` -1 is any number.
    ends_at_operand : bool
        Everything from the first operand on is left alone (`run`: the container's own command).
    completes : str
        What the Tab key offers for an operand.
    has_cell : bool
        It has a cell form, too.
    refused : dict of str to str
        Flags of Docker's that this magic does not take, with the reason.
    parts : tuple of Command
        Commands that the first operand chooses from (`volume ls`); it has no others then.
    aliases : tuple of str
        Other last words of a part's name.
    """

    name: str
    summary: str
    examples: tuple[str, ...]
    operands: str = ""
    options: tuple[Option, ...] = ()
    least: int = 0
    most: int = -1
    ends_at_operand: bool = False
    completes: Completes = ""
    has_cell: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    parts: tuple["Command", ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The last word of its name."""
        return self.name.rpartition(" ")[2]

    def part(self, word: str) -> "Command | None":
        """Return the part that is called by this word."""
        return next((part for part in self.parts if word in (part.word, *part.aliases)), None)

    def choose(self, words: Sequence[str]) -> tuple["Command", Arguments]:
        """Read a line that is words: return the command it is of, this or a part, and its values.

        Raises
        ------
        InvalidArgument
            As in `parse`; or there is no such part.
        """
        arguments = self.parse_words(words)
        if not self.parts or not arguments.operands:
            return self, arguments
        word, *rest = arguments.operands
        part = self.part(word)
        if part is None:
            known = [part.word for part in self.parts]
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(known)}"
            raise InvalidArgument(f"unknown command: {self.name} {word}", hint)
        return part, part.parse_words(rest)

    def help(self) -> str:
        """Return the text that `%name?` and `%name --help` show."""
        lines = [self.summary, "", f"Usage: %{self.name} [OPTIONS] {self.operands}".rstrip()]
        if self.parts:
            lines += ["", "Commands", "--------"]
            lines += [f"  {part.word:<{_PART_WIDTH}}  {part.summary}" for part in self.parts]
        if self.options:
            lines += ["", "Options", "-------", *(option.describe() for option in self.options)]
        lines += ["", "Examples", "--------", *(f"  {example}" for example in self.examples)]
        return "\n".join(lines)

    def find(self, spelling: str) -> Option | None:
        """Return the option that is typed like this (``-a``, ``--all``)."""
        return next((option for option in self.options if spelling in option.spellings), None)

    def parse(self, line: str) -> Arguments:
        """Read the rest of a magic's line.

        Raises
        ------
        InvalidArgument
            A flag is unknown or lacks its value, a quote is open, or the operands are too few or
            too many. The hint names the flag that was probably meant.

        Examples
        --------
        >>> ps = Command(name="ps", summary="", examples=(),
        ...              options=(Option(name="all", short="a", help=""),))
        >>> ps.parse("-a one two").operands
        ('one', 'two')
        """
        return self.parse_words(split_line(line))

    def parse_words(self, words: Sequence[str]) -> Arguments:
        """Read a line that is words already; the rest is as in `parse`."""
        arguments = _Parser(self, list(words)).parse()
        if "help" not in arguments.flags:
            self._check_operands(arguments.operands)
        return arguments

    def _check_operands(self, operands: Sequence[str]) -> None:
        count = len(operands)
        if count < self.least:
            wanted = (
                f"at least {self.least}" if self.most != self.least else f"exactly {self.least}"
            )
            self._refuse_count(wanted, self.least)
        if 0 <= self.most < count:
            wanted = "no" if self.most == 0 else f"at most {self.most}"
            self._refuse_count(wanted, self.most)

    def _refuse_count(self, wanted: str, number: int) -> None:
        noun = "argument" if number == 1 else "arguments"
        usage = f"%{self.name} [OPTIONS] {self.operands}".rstrip()
        raise InvalidArgument(f"%{self.name} takes {wanted} {noun}", f"usage: {usage}")


def split_line(line: str) -> list[str]:
    """Return the words of a magic's line, or raise InvalidArgument for a quote that is open."""
    try:
        # IPython leaves the semicolon that silences a magic in the line.
        return shlex.split(line.rstrip().removesuffix(";"))
    except ValueError as error:
        raise InvalidArgument(f"cannot read the line: {str(error).lower()}") from None


class _Parser:
    """One pass over the words of a line."""

    def __init__(self, command: Command, words: list[str]) -> None:
        self._command = command
        self._words = words
        self._flags: set[str] = set()
        self._values: dict[str, list[str]] = {}

    def parse(self) -> Arguments:
        """Read all words."""
        operands: list[str] = []
        while self._words:
            word = self._words.pop(0)
            if word == "--":
                operands += self._words
                break
            if word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and word != "-":
                self._shorts(word)
            elif self._command.ends_at_operand:
                operands += [word, *self._words]
                break
            else:
                operands.append(word)
        values = {name: tuple(texts) for name, texts in self._values.items()}
        return Arguments(tuple(operands), frozenset(self._flags), values)

    def _long(self, word: str) -> None:
        spelling, equals, value = word.partition("=")
        if spelling == "--help":
            self._flags.add("help")
            return
        option = self._option(spelling)
        if option.metavar:
            self._keep(option, value if equals else self._next(spelling))
        else:
            self._switch(option, value if equals else "true")

    def _shorts(self, word: str) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            option = self._option(f"-{letter}")
            if option.metavar:
                self._keep(option, letters.removeprefix("=") or self._next(f"-{letter}"))
                return
            self._switch(option, "true")

    def _option(self, spelling: str) -> Option:
        option = self._command.find(spelling)
        if option is not None:
            return option
        if spelling in self._command.refused:
            raise InvalidArgument(
                f"{spelling} cannot be used in a notebook cell", self._command.refused[spelling]
            )
        known = [text for option in self._command.options for text in option.spellings]
        near = difflib.get_close_matches(spelling, known, n=1) if len(spelling) > 2 else []  # noqa: PLR2004
        hint = f"did you mean {near[0]}?" if near else f"see %{self._command.name}?"
        raise InvalidArgument(f"unknown flag: {spelling}", hint)

    def _next(self, spelling: str) -> str:
        if not self._words:
            raise InvalidArgument(f"flag needs an argument: {spelling}")
        return self._words.pop(0)

    def _keep(self, option: Option, value: str) -> None:
        self._values.setdefault(option.name, []).append(value)

    def _switch(self, option: Option, value: str) -> None:
        if value.lower() in _TRUE:
            self._flags.add(option.name)
        elif value.lower() in _FALSE:
            self._flags.discard(option.name)
        else:
            raise InvalidArgument(f'invalid value "{value}" for --{option.name}: true or false')
