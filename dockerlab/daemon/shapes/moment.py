"""Moments and durations as Go's JSON writes them."""

from datetime import datetime

__all__ = ["rfc3339", "unix_seconds"]


def rfc3339(moment: datetime) -> str:
    """Write RFC 3339 without trailing zeros, as Go's RFC3339Nano does.

    Examples
    --------
    >>> from datetime import UTC
    >>> rfc3339(datetime(2026, 1, 31, 12, 0, 0, 120000, tzinfo=UTC))
    '2026-01-31T12:00:00.12Z'
    """
    # Not strftime: its %Y has no leading zeros for the year 1, Docker's "has not happened".
    text = moment.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def unix_seconds(moment: datetime) -> int:
    """Return whole seconds since 1970."""
    return int(moment.timestamp())
