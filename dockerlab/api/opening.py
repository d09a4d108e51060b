"""What every verb begins with: the engine it was told of, opened and closed again."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from dockerlab.client.session import Session, connect

__all__ = ["Engine", "Filters", "lists", "opened"]

Engine = str | Session
Filters = Mapping[str, str | Sequence[str]]


@contextmanager
def opened(engine: Engine) -> Iterator[Session]:
    """Give a session; one that was opened by a name is closed with the block."""
    if isinstance(engine, Session):
        yield engine
        return
    session = connect(engine)
    if session.notice:
        warnings.warn(session.notice, stacklevel=4)
    try:
        yield session
    finally:
        session.close()


def lists(filters: Filters | None) -> dict[str, list[str]]:
    """Return filters as docker-py takes them."""
    return {
        key: [value] if isinstance(value, str) else list(value)
        for key, value in (filters or {}).items()
    }
