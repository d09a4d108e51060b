"""The tidy table of phases (docs/architecture.md): rows as the client gives them, with real dtypes.

One row a phase; runs are put together by putting their rows together. What is drawn and computed
from it is in `plots` and `summary`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dockerlab.report.tables import Table

__all__ = ["timeline_frame"]

DTYPES = {
    "engine": "category",
    "host": "category",
    "tier": "category",
    "image": "category",
    "temperature": "category",
    "run": "int64",
    "side": "category",
    "phase": "category",
    "layer": "str",
    "begin_s": "float64",
    "duration_s": "float64",
    "bytes": "int64",
}


def timeline_frame(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the rows of one or more timelines as a table.

    Parameters
    ----------
    rows : iterable of mapping
        As `client.timeline.Timeline.rows`, of one run or of many.
    """
    table = Table(list(rows), columns=list(DTYPES))
    return Table(table.astype(DTYPES))
