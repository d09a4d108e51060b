"""What containers use, and which processes they have."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockerlab.api.opening import Engine, opened
from dockerlab.client.refusals import engine_errors
from dockerlab.client.session import Session

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["stats", "top"]

# Between the two samples that a percentage is made of.
SAMPLE_S = 0.5


def stats(
    *names: str,
    all: bool = False,  # noqa: A002 - Docker's word
    engine: Engine = "",
) -> "Table":
    """Return what containers use now, as a DataFrame; without names, those that run.

    CPU is measured over half a second, of all of them at once.

    Parameters
    ----------
    *names : str
        Which; none for all that run.
    all : bool
        Those that do not run, too.
    engine : str or Session
        Which engine.
    """
    with opened(engine) as session:
        wanted = names or _names(session, all=all)
        before = [_sample(session, name) for name in wanted]
        if before:
            time.sleep(SAMPLE_S)
        after = [_sample(session, name) for name in wanted]
    from dockerlab.report.usage import usage_table

    return usage_table(before, after)


def top(container: str, ps_options: str = "", *, engine: Engine = "") -> "Table":
    """Return the processes of a container as a DataFrame.

    Parameters
    ----------
    container : str
        Which.
    ps_options : str
        Options of ps(1), which has to be on the engine's host for other ones than ``-ef``.
    engine : str or Session
        Which engine.
    """
    with opened(engine) as session, engine_errors(session.address):
        found: Mapping[str, Any] = session.api.top(container, ps_options or None)
    from dockerlab.report.usage import process_table

    return process_table(found)


def _names(session: Session, *, all: bool) -> tuple[str, ...]:  # noqa: A002 - as above
    with engine_errors(session.address):
        return tuple(found["Id"] for found in session.api.containers(all=all))


def _sample(session: Session, name: str) -> dict[str, Any]:
    with engine_errors(session.address):
        found: dict[str, Any] = session.api.stats(name, stream=False, one_shot=True)
    return found
