"""The parameters of a request's address: booleans, numbers, moments, filters, in Docker's spelling.

It decides nothing about resources. Read `Query`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from dockerlab.errors import InvalidArgument

__all__ = ["Query", "parse_moment"]

_MAX_FILTER_BYTES = 64 << 10
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)


class Query:
    """The decoded query string; of several values `text` takes the last.

    Parameters
    ----------
    arguments : mapping
        Name to raw values, from `tornado.httputil.HTTPServerRequest.query_arguments`.
    """

    def __init__(self, arguments: Mapping[str, Sequence[bytes]]) -> None:
        self._arguments = arguments

    def text(self, name: str, default: str = "") -> str:
        """Return the value, or `default` when there is none."""
        values = self._arguments.get(name)
        if not values:
            return default
        try:
            return values[-1].decode()
        except UnicodeDecodeError as exc:
            raise InvalidArgument(f'the parameter "{name}" is not UTF-8') from exc

    def texts(self, name: str) -> list[str]:
        """Return all values, in order."""
        try:
            return [value.decode() for value in self._arguments.get(name, ())]
        except UnicodeDecodeError as exc:
            raise InvalidArgument(f'the parameter "{name}" is not UTF-8') from exc

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """Return moby's idea of a boolean: all words but a few are true (httputils.BoolValue)."""
        if name not in self._arguments:
            return default
        return self.text(name).strip().lower() not in ("", "0", "no", "false", "none")

    def number(self, name: str) -> int | None:
        """Return a decimal number, None when there is none.

        Raises
        ------
        InvalidArgument
            It is something else.
        """
        text = self.text(name)
        if not text:
            return None
        if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            raise InvalidArgument(f'invalid value "{text[:40]}" for "{name}": expected a number')
        return int(text)

    def size(self, name: str) -> int:
        """Return a number of rows or columns: 0 to 65535 (ioctl_tty(2), TIOCSWINSZ)."""
        number = self.number(name) or 0
        if not 0 <= number < 1 << 16:
            raise InvalidArgument(f'invalid value "{number}" for "{name}": expected 0 to 65535')
        return number

    def moment(self, name: str) -> datetime | None:
        """Return a moment, None when there is none or it is 0."""
        text = self.text(name)
        return None if text in ("", "0") else parse_moment(text)

    def filters(self) -> dict[str, list[str]]:
        """Return Docker's filters: ``{"name": ["a"]}``, or the old ``{"name": {"a": true}}``.

        Raises
        ------
        InvalidArgument
            Too long, not JSON, or of another shape.

        See Also
        --------
        Engine API, /containers/json, `filters`.
        """
        text = self.text("filters")
        if not text:
            return {}
        if len(text) > _MAX_FILTER_BYTES:
            raise InvalidArgument(f"the filters are longer than {_MAX_FILTER_BYTES} bytes")
        kind = dict[str, list[str] | dict[str, bool] | None]
        try:
            decoded = msgspec.json.decode(text, type=kind)
        except (msgspec.MsgspecError, RecursionError) as exc:
            raise InvalidArgument(f"invalid filter: {exc}") from exc
        return {key: _chosen(values) for key, values in decoded.items() if values}


def parse_moment(text: str) -> datetime:
    """Parse Unix seconds with a fraction, or RFC 3339, into UTC.

    Raises
    ------
    InvalidArgument
        Neither of them, or out of range.

    Examples
    --------
    >>> parse_moment("1.5").isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    match = _SECONDS.fullmatch(text)
    try:
        if match is not None:
            # Not float(): that has too few digits for nanoseconds of today.
            microseconds = int((match[2] or "").ljust(9, "0")[:6])
            return datetime.fromtimestamp(int(match[1]), UTC) + timedelta(microseconds=microseconds)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as exc:
        raise InvalidArgument(
            f'invalid time "{text[:60]}": expected Unix seconds or RFC 3339, as 2026-01-31T12:00Z'
        ) from exc
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _chosen(values: list[str] | dict[str, bool] | None) -> list[str]:
    if isinstance(values, dict):
        return [value for value, is_chosen in values.items() if is_chosen]
    return list(values or ())
