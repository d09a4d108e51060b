"""Names that fit a pattern of COPY, by the rules of Go's filepath.Match. Pure and import-light."""

__all__ = ["fits", "has_magic"]


def has_magic(name: str) -> bool:
    """Tell whether a name is a pattern."""
    return any(letter in name for letter in "*?[\\")


def fits(name: str, pattern: str) -> bool:
    r"""Tell whether one name, without a slash, fits a pattern.

    Examples
    --------
    >>> fits("hom1.txt", "hom?.t*"), fits("arr[0].txt", "arr[[]0].txt"), fits("a*", r"a\*")
    (True, True, True)
    """
    at = here = 0
    star = mark = -1
    while here < len(name):
        step = _step(name[here], pattern, at)
        if step:
            at, here = step, here + 1
        elif at < len(pattern) and pattern[at] == "*":
            star, mark = at, here
            at += 1
        elif star >= 0:
            # The last star takes one more letter: no earlier one can do better.
            mark += 1
            at, here = star + 1, mark
        else:
            return False
    return not pattern[at:].strip("*")


def _step(letter: str, pattern: str, at: int) -> int:
    """Return where the pattern goes on behind a letter, 0 when the letter does not fit."""
    wanted = pattern[at : at + 1]
    if wanted in ("", "*"):
        return 0
    if wanted == "?":
        return at + 1
    if wanted == "\\" and at + 1 < len(pattern):
        return at + 2 if pattern[at + 1] == letter else 0
    if wanted == "[":
        return _class(letter, pattern, at + 1)
    return at + 1 if wanted == letter else 0


def _class(letter: str, pattern: str, at: int) -> int:
    is_negated = pattern[at : at + 1] == "^"
    at += int(is_negated)
    first = at
    is_in = False
    while at < len(pattern) and (pattern[at] != "]" or at == first):
        at += int(pattern[at] == "\\" and at + 1 < len(pattern))
        low = high = pattern[at]
        at += 1
        if pattern[at : at + 1] == "-" and at + 1 < len(pattern) and pattern[at + 1] != "]":
            at += 1
            at += int(pattern[at] == "\\" and at + 1 < len(pattern))
            high = pattern[at]
            at += 1
        is_in = is_in or low <= letter <= high
    if at >= len(pattern):
        return 0  # It does not end: no name fits.
    return at + 1 if is_in != is_negated else 0
