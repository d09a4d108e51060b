r"""From the bytes of a Dockerfile to its logical lines: directives, comments, continuations.

Why a reader of our own: `dockerfile-parse` (PyPI), which others use, reads the lines of a heredoc
as instructions, knows no ``# escape=`` but the backslash, takes a comment within a command for
its end, and ``\\`` at the end of a line for a continuation (seen with version 2.0.1). Docker's
reference says otherwise in each case: https://docs.docker.com/reference/dockerfile/, "Parser
directives", "Format", "Here-Documents".
"""

import re
from dataclasses import dataclass

from dockerlab.errors import InvalidArgument

__all__ = ["MAX_DOCKERFILE_BYTES", "Heredoc", "Line", "Lines", "find_heredocs", "read_lines"]

MAX_DOCKERFILE_BYTES = 4 << 20

_BOM = b"\xef\xbb\xbf"
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_KNOWN = ("escape", "syntax", "check")
_HEREDOC = re.compile(r"(?<!\S)(\d*)<<(-?)([^\s<]+)(?!\S)")
# The reference: "heredocs can be used with RUN, COPY and ADD"; ONBUILD may stand before.
_WITH_HEREDOCS = ("ADD", "COPY", "RUN")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """The text between ``<<NAME`` and ``NAME``.

    Attributes
    ----------
    name : str
        Without quotes.
    text : str
        Its lines, each with its end; without leading tabs where it began with ``<<-``.
    expands : bool
        Variables in it are replaced, for the name was not quoted.
    source : str
        As it stands in the Dockerfile, with the line that ends it.
    descriptor : int
        The number before ``<<``, 0 without one.
    """

    name: str
    text: str
    expands: bool
    source: str
    descriptor: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction with its continuations joined; `number` is that of its first line."""

    number: int
    text: str
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """All instructions of a Dockerfile, and the character that escapes in it."""

    lines: tuple[Line, ...]
    escape: str
    warnings: tuple[str, ...] = ()


def read_lines(data: bytes) -> Lines:
    """Split a Dockerfile.

    Raises
    ------
    InvalidArgument
        Too large, not UTF-8, a directive that is wrong or there twice, a heredoc without an end.
    """
    if len(data) > MAX_DOCKERFILE_BYTES:
        raise InvalidArgument(f"the Dockerfile is larger than {MAX_DOCKERFILE_BYTES} bytes")
    try:
        text = data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as exc:
        raise InvalidArgument(f"the Dockerfile is not UTF-8: {exc}") from exc
    physical = [line.removesuffix("\r") for line in text.split("\n")]
    escape = _read_escape(physical)
    return _Splitter(physical, escape).split()


def find_heredocs(text: str) -> list[re.Match[str]]:
    """Return where heredocs begin in a command, those in quotes left out."""
    return [
        match
        for match in _HEREDOC.finditer(text)
        if not _is_open(text[: match.start()]) and _NAME.fullmatch(_unquoted(match[3]))
    ]


def _is_open(text: str) -> bool:
    """Tell whether a quotation begins in a text and does not end."""
    quote = ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and text[at - 1 : at] != "\\":
            quote = letter
    return bool(quote)


def _unquoted(word: str) -> str:
    for quote in "\"'":
        if len(word) > 1 and word[0] == word[-1] == quote:
            return word[1:-1]
    return word


def _read_escape(physical: list[str]) -> str:
    """Return the character of ``# escape=``; directives end with the first other line."""
    seen: set[str] = set()
    escape = "\\"
    for line in physical:
        match = _DIRECTIVE.fullmatch(line.strip())
        key = match[1].lower() if match else ""
        if match is None or key not in _KNOWN:
            break
        if key in seen:
            raise InvalidArgument(f"only one {key} parser directive can be used")
        seen.add(key)
        if key == "escape":
            escape = match[2]
            if escape not in ("\\", "`"):
                raise InvalidArgument(f"invalid ESCAPE '{escape}'. Must be ` or \\")
    return escape


class _Splitter:
    def __init__(self, physical: list[str], escape: str) -> None:
        self._physical = physical
        self._escape = escape
        self._at = 0
        # An escape character that is itself escaped continues nothing.
        one = re.escape(escape)
        self._continues = re.compile(rf"(^|[^{one}]){one}[ \t]*$")
        self._warnings: list[str] = []

    def split(self) -> Lines:
        """Read everything."""
        lines: list[Line] = []
        while self._at < len(self._physical):
            text = self._physical[self._at].strip()
            number = self._at + 1
            if not text or text.startswith("#"):
                self._at += 1
                continue
            joined = self._join()
            lines.append(Line(number, joined, self._heredocs(joined, number)))
        return Lines(tuple(lines), self._escape, tuple(self._warnings))

    def _join(self) -> str:
        """Return a line with those that continue it."""
        joined, is_first = "", True
        has_empty = False
        while self._at < len(self._physical):
            line = self._physical[self._at]
            self._at += 1
            stripped = line.strip()
            if not is_first and (not stripped or stripped.startswith("#")):
                has_empty = has_empty or not stripped
                continue
            line = line.lstrip() if is_first else line
            is_first = False
            joined += (continued := self._continues.sub(r"\1", line))
            if continued == line:
                break
        if has_empty and joined.strip():
            self._warnings.append(f"[WARNING]: Empty continuation line found in:\n    {joined}")
        return joined.strip()

    def _heredocs(self, text: str, number: int) -> tuple[Heredoc, ...]:
        words = text.upper().split(None, 2)
        is_onbuild = words[0] == "ONBUILD"
        name = "".join(words[int(is_onbuild) : int(is_onbuild) + 1])
        if name not in _WITH_HEREDOCS:
            return ()
        return tuple(self._heredoc(match, number) for match in find_heredocs(text))

    def _heredoc(self, match: re.Match[str], number: int) -> Heredoc:
        name = _unquoted(match[3])
        source = ""
        lines: list[str] = []
        while self._at < len(self._physical):
            line = self._physical[self._at]
            self._at += 1
            source += line + "\n"
            seen = line.lstrip("\t") if match[2] else line
            if seen == name:
                return Heredoc(
                    name=name,
                    text="".join(lines),
                    expands=name == match[3],
                    source=source,
                    descriptor=int(match[1] or 0),
                )
            lines.append(seen + "\n")
        raise InvalidArgument(f"dockerfile parse error line {number}: unterminated heredoc")
