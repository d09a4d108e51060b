"""The records of reading a container's log."""

from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["LogQuery", "LogRecord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which part of the log: `tail` None is all, `follow` goes on until the container ends."""

    stdout: bool = True
    stderr: bool = True
    since: datetime | None = None
    until: datetime | None = None
    tail: int | None = None
    follow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One line, with its newline if it had one; `time` is RFC 3339 with nanoseconds, as written.

    `attributes` are what ``--log-opt labels``, ``env`` and ``tag`` have asked for.
    """

    stream: str
    time: str
    line: bytes
    attributes: dict[str, str] = field(default_factory=dict)
