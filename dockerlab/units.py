"""Numbers for people: bytes, durations and ages, in the spelling of the Docker CLI.

The rules are those of docker/go-units: sizes that are shown are decimal (``1.84kB``), sizes that
are typed are binary (``512m`` is 512 MiB), ages are rounded words (``3 minutes ago``). Nothing here
reads a clock: the present time is a parameter.
"""

import re
from datetime import UTC, datetime, timedelta

from dockerlab.errors import InvalidArgument

__all__ = [
    "human_age",
    "human_duration",
    "human_size",
    "human_time",
    "parse_cpus",
    "parse_duration",
    "parse_moment",
    "parse_size",
]

_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY_SHIFT = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE | re.ASCII)

# time.ParseDuration of Go: a sequence of numbers with units.
_DURATION_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")

_MINUTE_S = 60
_HOUR_S = 60 * _MINUTE_S
_DAY_S = 24 * _HOUR_S
# Up to this many of a unit are shown before the next larger one is used; go-units' duration.go.
_AGE_STEPS = (
    (2 * _DAY_S, _HOUR_S, "hours"),
    (14 * _DAY_S, _DAY_S, "days"),
    (60 * _DAY_S, 7 * _DAY_S, "weeks"),
    (730 * _DAY_S, 30 * _DAY_S, "months"),
)


def human_size(size_bytes: float, *, digits: int = 3) -> str:
    """Write a number of bytes as Docker's tables do.

    Parameters
    ----------
    size_bytes : float
        Bytes, not negative.
    digits : int
        Significant digits; Docker uses 3 in tables and 4 in progress bars.

    Examples
    --------
    >>> human_size(1840), human_size(0), human_size(27_118_372, digits=4)
    ('1.84kB', '0B', '27.12MB')
    """
    value = float(size_bytes)
    power = 0
    while value >= 1000 and power < len(_SIZE_UNITS) - 1:  # noqa: PLR2004 - a thousand is a thousand
        value /= 1000
        power += 1
    return f"{value:.{digits}g}{_SIZE_UNITS[power]}"


def parse_size(text: str) -> int:
    """Read a size as `--memory` takes it, in bytes.

    Raises
    ------
    InvalidArgument
        The text is no size.

    Examples
    --------
    >>> parse_size("512m"), parse_size("1.5GiB"), parse_size("2048")
    (536870912, 1610612736, 2048)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(f'invalid size: "{text}"', "write a number and a unit, such as 512m")
    number, unit = match.groups()
    return int(float(number) * (1 << _BINARY_SHIFT[unit.lower()]))


def parse_cpus(text: str) -> int:
    """Read `--cpus` ("1.5") as billionths of a processor, the API's `NanoCpus`.

    Raises
    ------
    InvalidArgument
        The text is no decimal number, or a negative one.

    Examples
    --------
    >>> parse_cpus("1.5")
    1500000000
    """
    if re.fullmatch(r"\d+(\.\d{1,9})?|\.\d{1,9}", text.strip(), re.ASCII) is None:
        raise InvalidArgument(
            f'invalid number of CPUs: "{text}"', "write a decimal number, such as 0.5"
        )
    return round(float(text) * 1e9)


def human_time(duration_s: float) -> str:
    """Write a duration that was measured, with two or three significant digits.

    Examples
    --------
    >>> human_time(75), human_time(1.625), human_time(0.0143), human_time(0.00042), human_time(7e-6)
    ('75 s', '1.62 s', '14 ms', '0.42 ms', '7 µs')
    """
    milliseconds = duration_s * 1000
    if milliseconds >= 1000:  # noqa: PLR2004 - a second
        return f"{duration_s:.3g} s"
    if 0 < milliseconds < 0.1:  # noqa: PLR2004 - two digits do not say more
        return f"{milliseconds * 1000:.0f} µs"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"  # noqa: PLR2004


def human_duration(duration_s: float) -> str:
    """Write how long something has lasted, in rounded words (go-units `HumanDuration`).

    Examples
    --------
    >>> [human_duration(seconds) for seconds in (0.2, 59, 60, 185, 3600, 50 * 3600)]
    ['Less than a second', '59 seconds', 'About a minute', '3 minutes', 'About an hour', '2 days']
    """
    seconds = int(duration_s)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < _MINUTE_S:
        return f"{seconds} seconds"
    minutes = seconds // _MINUTE_S
    if minutes == 1:
        return "About a minute"
    if seconds < _HOUR_S:
        return f"{minutes} minutes"
    # From here on go-units counts in hours, rounded half up.
    rounded = int(seconds / _HOUR_S + 0.5) * _HOUR_S
    if rounded == _HOUR_S:
        return "About an hour"
    for limit, unit, name in _AGE_STEPS:
        if rounded < limit:
            return f"{rounded // unit} {name}"
    return f"{seconds // (365 * _DAY_S)} years"


def human_age(moment: datetime, now: datetime) -> str:
    """Write how long ago `moment` was.

    Examples
    --------
    >>> human_age(datetime(2026, 1, 1, 12, 0, tzinfo=UTC), datetime(2026, 1, 1, 12, 3, tzinfo=UTC))
    '3 minutes ago'
    """
    return f"{human_duration(max(0.0, (now - moment).total_seconds()))} ago"


def parse_duration(text: str) -> float:
    """Read a duration in Go's spelling, in seconds.

    Raises
    ------
    InvalidArgument
        The text is no duration.

    Examples
    --------
    >>> parse_duration("1h30m"), parse_duration("250ms")
    (5400.0, 0.25)
    """
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidArgument(f'invalid duration: "{text}"', "write for example 90s, 10m or 1h30m")
    return sum(float(number) * _DURATION_S[unit] for number, unit in parts)


def parse_moment(text: str, now: datetime) -> datetime:
    """Read a point in time as `--since` takes it: RFC 3339, a Unix time, or a duration ago.

    A time without a zone is taken as UTC.

    Raises
    ------
    InvalidArgument
        The text is none of these.

    Examples
    --------
    >>> parse_moment("10m", datetime(2026, 1, 1, 12, tzinfo=UTC)).isoformat()
    '2026-01-01T11:50:00+00:00'
    """
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        return datetime.fromtimestamp(float(text), UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return now - timedelta(seconds=parse_duration(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
