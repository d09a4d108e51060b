"""The patterns of a ``.dockerignore``: which paths of a context they leave out. Pure.

The rules are Docker's (https://docs.docker.com/build/concepts/context/#dockerignore-files): those
of Go's filepath.Match, ``**`` for any number of folders, the last pattern that fits wins, ``!``
takes back. Clients apply them; the engine needs them to leave the Dockerfile out of ``COPY . .``,
which clients send all the same.
"""

import re

__all__ = ["ignored", "read_patterns"]

_MAX_PATTERNS = 10_000
_PART = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|\\.|.", re.DOTALL)
_SIGNS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


def read_patterns(text: str) -> list[str]:
    """Return the patterns of a ``.dockerignore``, cleaned; ``!`` before it takes back."""
    patterns = []
    for line in text.removeprefix("\ufeff").splitlines()[:_MAX_PATTERNS]:
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        sign = "!" if pattern.startswith("!") else ""
        parts = [p for p in pattern.removeprefix("!").strip().split("/") if p not in ("", ".")]
        patterns.append(sign + "/".join(parts))
    return patterns


def ignored(path: str, patterns: list[str]) -> bool:
    """Tell whether a path, without a slash before it, is left out: itself, or a folder above it."""
    parts = path.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    is_out = False
    for pattern in patterns:
        takes_back = pattern.startswith("!")
        if takes_back != is_out:
            continue
        expression = _expression(pattern.removeprefix("!"))
        if any(expression.fullmatch(each) for each in above):
            is_out = not takes_back
    return is_out


def _expression(pattern: str) -> "re.Pattern[str]":
    parts = []
    for match in _PART.finditer(pattern):
        part = match[0]
        if part in _SIGNS:
            parts.append(_SIGNS[part])
        elif part == "**/" and match.end() == len(pattern):
            parts.append(".*")
        elif part == "**/":
            parts.append("(?:[^/]+/)*")
        elif part[0] == "[" and len(part) > 1:
            parts.append("[" + part[1:-1].replace("[", "\\[").replace("&&", "&\\&") + "]")
        elif part[0] == "\\" and len(part) > 1:
            parts.append(re.escape(part[1]))
        else:
            parts.append(re.escape(part))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return re.compile(re.escape(pattern))
