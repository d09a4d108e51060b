"""What containers have written."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

from dockerlab.api.opening import Engine, opened
from dockerlab.client.refusals import engine_errors
from dockerlab.units import parse_moment

__all__ = ["LogOptions", "follow_logs", "logs"]


class LogOptions(TypedDict, total=False):
    """Which lines of a log: the last `tail`, from `since` on and up to `until` (``10m`` is ago)."""

    tail: int | None
    since: str
    until: str
    timestamps: bool


def logs(container: str, *, engine: Engine = "", **options: Unpack[LogOptions]) -> str:
    """Return what a container has written."""
    with opened(engine) as session, engine_errors(session.address):
        data: bytes = session.api.logs(container, **_log_query(options))
    return data.decode(errors="replace")


def follow_logs(
    container: str, *, engine: Engine = "", **options: Unpack[LogOptions]
) -> Iterator[bytes]:
    """Give what a container writes, piece by piece, until it ends or the iterator is closed."""
    with opened(engine) as session, engine_errors(session.address):
        query = _log_query(options)
        yield from session.api.logs(container, stream=True, follow=True, **query)


def _log_query(options: LogOptions) -> dict[str, Any]:
    tail = options.get("tail")
    query: dict[str, Any] = {
        "timestamps": options.get("timestamps", False),
        "tail": "all" if tail is None else tail,
    }
    now = datetime.now(UTC)
    moments = {"since": options.get("since"), "until": options.get("until")}
    return query | {
        name: parse_moment(text, now).timestamp() for name, text in moments.items() if text
    }
