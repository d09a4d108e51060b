"""Variables and quotes in the words of an instruction, as Docker's shell-like expansion has them.

Reference: https://docs.docker.com/reference/dockerfile/, "Environment replacement". Pure functions.
"""

import fnmatch
import re
from collections.abc import Mapping

from dockerlab.errors import InvalidArgument

__all__ = ["expand", "expand_words", "split_quoted"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = "@*#"
# Lines like ``ENV a=$a$a`` double; execve(2) takes no string of more than 128 KiB.
_MAX_EXPANDED = 1 << 20
_MAX_MATCHED = 4096


def expand(word: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """Return a word with its variables replaced and its quotes taken away.

    Raises
    ------
    InvalidArgument
        A quotation or a brace is not closed, a modifier is unknown, or ``${x:?why}`` has no x.

    Examples
    --------
    >>> expand("${x:-a}/$y", {"y": "b"})
    'a/b'
    """
    return "".join(piece for piece, _ in _pieces(word, variables, escape))


def _pieces(text: str, variables: Mapping[str, str], escape: str) -> list[tuple[str, bool]]:
    pieces = _Expander(text, variables, escape).run()
    if sum(len(piece) for piece, _ in pieces) > _MAX_EXPANDED:
        raise InvalidArgument(f"a value is longer than {_MAX_EXPANDED} characters")
    return pieces


def expand_words(text: str, variables: Mapping[str, str], escape: str = "\\") -> list[str]:
    """Return the words of a text: blanks part them, also those of a variable outside quotes."""
    words: list[str] = []
    current: str | None = None
    for piece, is_quoted in _pieces(text, variables, escape):
        if is_quoted:
            current = (current or "") + piece
            continue
        for letter in piece:
            if letter.isspace():
                if current is not None:
                    words.append(current)
                current = None
            else:
                current = (current or "") + letter
    return words if current is None else [*words, current]


def split_quoted(text: str, escape: str = "\\") -> list[str]:
    """Return the words of a text with their quotes: blanks in quotes, or escaped, part nothing.

    Examples
    --------
    >>> split_quoted('a="b c" d=e')
    ['a="b c"', 'd=e']
    """
    words, current, quote, at = [], "", "", 0
    while at < len(text):
        letter = text[at]
        if letter == escape and quote != "'" and at + 1 < len(text):
            current += text[at : at + 2]
            at += 2
            continue
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        if letter.isspace() and not quote:
            words += [current] if current else []
            current = ""
        else:
            current += letter
        at += 1
    return [*words, current] if current else words


class _Expander:
    """One walk over a text."""

    def __init__(self, text: str, variables: Mapping[str, str], escape: str) -> None:
        self._text = text
        self._variables = variables
        self._escape = escape
        self._at = 0

    def run(self, stop: str = "") -> list[tuple[str, bool]]:
        """Return the pieces up to the character `stop`, each with whether it was quoted."""
        pieces: list[tuple[str, bool]] = []
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter == stop:
                return pieces
            self._at += 1
            if letter == "'":
                pieces.append((self._single(), True))
            elif letter == '"':
                pieces.append((self._double(), True))
            elif letter == self._escape:
                if self._at < len(self._text):
                    pieces.append((self._text[self._at], True))
                    self._at += 1
            elif letter == "$":
                pieces.append((self._variable(), False))
            else:
                pieces.append((letter, False))
        if stop:
            raise InvalidArgument(f"unexpected end of statement while looking for matching {stop}")
        return pieces

    def _single(self) -> str:
        end = self._text.find("'", self._at)
        if end < 0:
            raise InvalidArgument(
                "unexpected end of statement while looking for matching single-quote"
            )
        piece = self._text[self._at : end]
        self._at = end + 1
        return piece

    def _double(self) -> str:
        piece = ""
        while self._at < len(self._text):
            letter = self._text[self._at]
            self._at += 1
            if letter == '"':
                return piece
            following = self._text[self._at : self._at + 1]
            if letter == "$":
                piece += self._variable()
            elif letter == self._escape and following in ('"', "$", self._escape) and following:
                piece += following
                self._at += 1
            else:
                piece += letter
        raise InvalidArgument("unexpected end of statement while looking for matching double-quote")

    def _variable(self) -> str:
        """Return what stands for a variable; the dollar has been read."""
        following = self._text[self._at : self._at + 1]
        if following == "{":
            self._at += 1
            return self._braced()
        name = self._name()
        return "$" if not name else self._variables.get(name, "")

    def _name(self) -> str:
        match = _NAME.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
            return match[0]
        letter = self._text[self._at : self._at + 1]
        if letter and (letter.isdigit() or letter in _SPECIAL):
            self._at += 1  # $1, $@: no such variable is ever set.
            return letter
        return ""

    def _braced(self) -> str:
        name = self._name()
        value = self._variables.get(name)
        if not name:
            raise InvalidArgument(f'bad substitution in "{self._text}"')
        if self._text[self._at : self._at + 1] == "}":
            self._at += 1
            return value or ""
        operator = self._operator()
        if operator in ("/", "//"):
            pattern = self._until("/")
            self._at += 1
            return _replace(
                value or "", pattern, self._until("}", end=True), has_all=operator == "//"
            )
        word = self._until("}", end=True)
        return self._modify(name, value, operator, word)

    def _operator(self) -> str:
        for operator in (":-", ":+", ":?", "##", "%%", "//", "-", "+", "?", "#", "%", "/"):
            if self._text.startswith(operator, self._at):
                self._at += len(operator)
                return operator
        rest = self._text[self._at : self._at + 2]
        if not rest:
            raise InvalidArgument('syntax error: missing "}" behind a variable')
        raise InvalidArgument(f'unsupported modifier ({rest}) in substitution in "{self._text}"')

    def _until(self, stop: str, *, end: bool = False) -> str:
        piece = "".join(piece for piece, _ in self.run(stop))
        self._at += int(end)
        return piece

    def _modify(self, name: str, value: str | None, operator: str, word: str) -> str:
        is_missing = value is None if len(operator) == 1 else not value
        if operator in (":-", "-"):
            return word if is_missing else value or ""
        if operator in (":+", "+"):
            return "" if is_missing else word
        if operator in (":?", "?"):
            if is_missing:
                raise InvalidArgument(f"{name}: {word or 'is not set'}")
            return value or ""
        return _strip(value or "", operator, word)


def _strip(value: str, operator: str, pattern: str) -> str:
    """Take what fits a pattern from the begin (``#``) or end (``%``); twice means the longest."""
    _check_size(value)
    # Its expressions have atomic groups, so that no pattern takes longer than the text is long.
    fits = re.compile(fnmatch.translate(pattern)).match
    is_front = operator[0] == "#"
    lengths = range(len(value) + 1)
    for length in reversed(lengths) if len(operator) > 1 else lengths:
        cut = length if is_front else len(value) - length
        taken, left = (value[:cut], value[cut:]) if is_front else (value[cut:], value[:cut])
        if fits(taken):
            return left
    return value


def _replace(value: str, pattern: str, by: str, *, has_all: bool) -> str:
    """Put `by` in the place of what fits a pattern, the longest where it fits first."""
    _check_size(value)
    if pattern.count("*") > 1:
        raise InvalidArgument(f'the pattern "{pattern}" has more than one "*", use at most one')
    signs = {"*": ".*", "?": "."}
    expression = "".join(signs.get(letter, re.escape(letter)) for letter in pattern)
    if not expression:
        return value
    return re.sub(expression, lambda _: by, value, count=0 if has_all else 1, flags=re.DOTALL)


def _check_size(value: str) -> None:
    if len(value) > _MAX_MATCHED:
        raise InvalidArgument(f"a value of more than {_MAX_MATCHED} characters is not searched")
