"""Signals by name and number, as the Engine API writes them."""

import re
import signal

from dockerlab.errors import InvalidArgument

__all__ = ["parse_signal"]

_REAL_TIME = re.compile(r"RT(MIN|MAX)(?:([+-])(\d{1,2}))?", re.ASCII)


def parse_signal(text: str) -> int:
    """Parse ``9``, ``KILL``, ``SIGKILL`` or ``SIGRTMIN+3``, in either case.

    Real-time signals count from the C library's first, 34; see signal(7).

    Raises
    ------
    InvalidArgument
        There is no such signal.

    Examples
    --------
    >>> parse_signal("rtmin+3"), parse_signal("SIGRTMAX-1"), parse_signal("hup")
    (37, 63, 1)
    """
    name = text.upper().removeprefix("SIG")
    if name.isascii() and name.isdigit() and len(name) < 4:  # noqa: PLR2004 - far beyond them all
        number = int(name)
    elif match := _REAL_TIME.fullmatch(name):
        number = _real_time(match[1], match[2], int(match[3] or 0))
    else:
        named = signal.Signals.__members__.get(f"SIG{name}")
        number = 0 if named is None else int(named)
    if not 0 < number <= signal.SIGRTMAX:
        raise InvalidArgument(f"invalid signal: {text[:40]}")
    return number


def _real_time(end: str, sign: str | None, offset: int) -> int:
    """Return the number of ``RTMIN+n`` or ``RTMAX-n``; 0 for what is outside of both."""
    number = signal.SIGRTMIN + offset if end == "MIN" else signal.SIGRTMAX - offset
    is_known = sign in (None, "+" if end == "MIN" else "-")
    return number if is_known and signal.SIGRTMIN <= number <= signal.SIGRTMAX else 0
