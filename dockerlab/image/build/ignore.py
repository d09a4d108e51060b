"""The patterns of a ``.dockerignore``: which paths of a context they leave out. Pure.

The rules are Docker's (https://docs.docker.com/build/concepts/context/#dockerignore-files): those of
Go's filepath.Match, ``**`` for any number of folders, the last pattern that fits wins, ``!`` takes
back. Clients apply them; the engine needs them to leave the Dockerfile out of ``COPY . .``, which
clients send all the same.
"""

import re

__all__ = ["ignored", "read_patterns"]

_MAX_PATTERNS = 10_000


def read_patterns(text: str) -> list[str]:
    """Return the patterns of a ``.dockerignore``, cleaned, those that take back with their ``!``."""
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
    at, parts = 0, []
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            if pattern[at : at + 1] == "*":
                at += 1
                if pattern[at : at + 1] == "/":
                    at += 1
                    parts.append("(?>(?:[^/]+/)*)" if at < len(pattern) else ".*")
                else:
                    parts.append(".*")
            else:
                parts.append("[^/]*")
        elif letter == "?":
            parts.append("[^/]")
        elif letter == "[" and (end := pattern.find("]", at + 1)) > 0:
            inner = pattern[at:end].replace("\\", "\\\\").replace("[", "\\[").replace("&&", "&\\&")
            parts.append(f"[{inner}]")
            at = end + 1
        elif letter == "\\" and at < len(pattern):
            parts.append(re.escape(pattern[at]))
            at += 1
        else:
            parts.append(re.escape(letter))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return re.compile(re.escape(pattern))
