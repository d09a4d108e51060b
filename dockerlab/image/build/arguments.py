"""The arguments of an instruction: flags, words, the JSON form, names and values. Pure."""

import json

from dockerlab.errors import InvalidArgument
from dockerlab.image.build.instructions import Flag, Words
from dockerlab.image.build.lines import Line
from dockerlab.image.build.words import split_quoted

__all__ = ["Arguments", "json_array", "partition_word", "split_pairs"]

# What BuildKit has beyond the classic builder and is not done here: refused by name.
_BUILDKIT_ONLY = {
    "ADD": ("checksum", "keep-git-dir", "exclude", "unpack"),
    "COPY": ("parents", "exclude"),
    "RUN": ("security", "device"),
}


class Arguments:
    """What stands behind the name of an instruction: `flags`, and `rest` without them."""

    def __init__(self, line: Line, escape: str) -> None:
        word, rest = partition_word(line.text)
        self.keyword = word.upper()
        self.line = line
        self.escape = escape
        self.text = line.text
        self.flags, self.rest = _take_flags(rest.strip(), escape)

    def check_flags(self, *known: str) -> dict[str, str]:
        """Return the flags by name; one that may stand there often is taken from `flags`."""
        found = {}
        for flag in self.flags:
            if flag.name in _BUILDKIT_ONLY.get(self.keyword, ()):
                raise InvalidArgument(
                    f"{self.keyword} --{flag.name} is not supported by this builder"
                )
            if flag.name not in known:
                raise InvalidArgument(f"unknown flag: --{flag.name}")
            if flag.name in found and flag.name != "mount":
                raise InvalidArgument(f"duplicate flag specified: --{flag.name}")
            found[flag.name] = flag.value
        return found

    def some(self) -> str:
        """Return the arguments; raise InvalidArgument without any."""
        if not self.rest:
            raise InvalidArgument(f"{self.keyword} requires at least one argument")
        return self.rest

    def one(self) -> str:
        """Return the only argument."""
        self.check_flags()
        if not self.rest:
            raise InvalidArgument(f"{self.keyword} requires exactly one argument")
        return self.rest

    def words(self) -> list[str]:
        """Return the arguments as words: of a JSON array, or parted by blanks."""
        array = json_array(self.rest)
        return self.rest.split() if array is None else array

    def command(self) -> Words:
        """Return a command in its form."""
        array = json_array(self.rest)
        if array is not None:
            return Words(tuple(array), is_shell=False)
        return Words((self.rest,) if self.rest else (), is_shell=True)


def partition_word(text: str) -> tuple[str, str]:
    """Return the first word of a text and what follows."""
    parts = text.split(None, 1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def json_array(text: str) -> list[str] | None:
    """Return the words of a JSON array of texts; None for what is none: that is shell form."""
    if not text.startswith("["):
        return None
    try:
        array = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(array, list) or not all(isinstance(word, str) for word in array):
        return None
    return array


def _take_flags(text: str, escape: str) -> tuple[list[Flag], str]:
    flags: list[Flag] = []
    while text.startswith("--"):
        word, text = _first_word(text, escape)
        if word == "--":
            break
        name, _, value = word[2:].partition("=")
        flags.append(Flag(name, value))
    return flags, text


def _first_word(text: str, escape: str) -> tuple[str, str]:
    """Return the first word without its quotes, and what follows."""
    word, quote, at = "", "", 0
    while at < len(text):
        letter = text[at]
        if letter == escape and at + 1 < len(text):
            at += 1
            word += text[at]
        elif quote:
            quote, word = ("", word) if letter == quote else (quote, word + letter)
        elif letter in "\"'":
            quote = letter
        elif letter.isspace():
            break
        else:
            word += letter
        at += 1
    return word, text[at:].lstrip()


def split_pairs(text: str, keyword: str, escape: str) -> tuple[tuple[str, str], ...]:
    """Return the names and values of ENV and LABEL, in the new form or in the old one of one pair.

    Raises
    ------
    InvalidArgument
        A word without ``=``, or without a name before it.
    """
    words = split_quoted(text, escape)
    if not words:
        raise InvalidArgument(f"{keyword} requires at least one argument")
    if "=" not in words[0]:
        parts = text.split(None, 1)
        if len(parts) != 2:  # noqa: PLR2004 - a name and a value
            raise InvalidArgument(f"{keyword} must have two arguments")
        return ((parts[0], parts[1]),)
    pairs = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgument(
                f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
            )
        if not name:
            raise InvalidArgument(f"{keyword} names can not be blank")
        pairs.append((name, value))
    return tuple(pairs)
