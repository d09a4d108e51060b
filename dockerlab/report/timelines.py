"""Timelines as one tidy table: a row a phase, and what is computed from it run by run.

Everything that is drawn or summed up reads this table and nothing else, so a table that was saved,
filtered or joined from two machines serves as well as a fresh one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from dockerlab.errors import InvalidArgument
from dockerlab.phases import EMULATED_TIERS
from dockerlab.report import accessor as _accessor  # noqa: F401 - gives the tables their `.lab`
from dockerlab.report.tables import Table

__all__ = ["COLUMNS", "TEMPERATURES", "run_totals", "timeline_frame"]

TEMPERATURES = ("cold", "stored", "cached")

COLUMNS: dict[str, str] = {
    "engine": "category",
    "host": "category",
    "tier": "category",
    "image": "category",
    "temperature": "category",
    "run": "int64",
    "side": "category",
    "phase": "category",
    "layer": "string",
    "begin_s": "float64",
    "duration_s": "float64",
    "bytes": "Int64",
}


def timeline_frame(
    rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any] | None = None
) -> Table:
    """Return the tidy table of one or many runs.

    Parameters
    ----------
    rows : iterable of mapping
        One a phase, with the keys of `COLUMNS` (`client.timeline.TimelineRow`).
    facts : mapping, optional
        About the machine and the experiment; kept in the table's `attrs`.
    """
    rows = list(rows)
    table = Table(
        {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in COLUMNS.items()}
    )
    present = [name for name in TEMPERATURES if name in set(table["temperature"])]
    table["temperature"] = table["temperature"].cat.set_categories(present, ordered=True)
    # The first engine is what the others are compared with: its place is that of the question.
    asked = [name for name in (facts or {}).get("engines", ()) if name in set(table["engine"])]
    engines = list(dict.fromkeys([*asked, *table["engine"]]))
    table["engine"] = table["engine"].cat.set_categories(engines, ordered=True)
    table.attrs.update(facts or {})
    table.attrs["rows"] = "phases"
    table.attrs["emulated"] = bool(table["tier"].isin(EMULATED_TIERS).any())
    table.attrs["folded"] = ["engine", "host", "tier", "image", "temperature", "run"]
    return table


def run_totals(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run: `temperature`, `engine`, `run` and `total_s`.

    The total is what the person who asked waited for: from the request to the exit of the program,
    as the client saw it. A removal (``--rm``) comes after that and is not counted.

    Raises
    ------
    InvalidArgument
        The table is no timeline, or its runs are of several images or hosts, or of one engine in
        several tiers, or emulated and not, and so are no samples that could be compared.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InvalidArgument(
            f'not a timeline: the column "{missing[0]}" is missing',
            "make one with %compare_runs, or take result.timeline",
        )
    for name in ("image", "host"):
        _refuse_several(frame, name)
    for _, mine in frame.groupby("engine", observed=True):
        _refuse_several(mine, "tier")
    _refuse_emulated(frame)
    mine = frame[(frame["side"] == "client") & (frame["phase"] != "remove")]
    if mine.empty:
        raise InvalidArgument("cannot sum up a timeline without runs")
    ends = (mine["begin_s"] + mine["duration_s"]).rename("total_s")
    keys = [mine["temperature"], mine["engine"], mine["run"]]
    return pd.DataFrame(ends.groupby(keys, observed=True).max()).reset_index()


def _refuse_several(frame: pd.DataFrame, name: str) -> None:
    kinds = frame[name].dropna().unique()
    if len(kinds) > 1:
        raise InvalidArgument(
            f"cannot put runs of several {name}s into one sample: {', '.join(map(str, kinds))}",
            f'choose one: df[df["{name}"] == "{kinds[0]}"]',
        )


def _refuse_emulated(frame: pd.DataFrame) -> None:
    emulated = frame["tier"].isin(EMULATED_TIERS)
    if emulated.any() and not emulated.all():
        names = sorted(EMULATED_TIERS)
        raise InvalidArgument(
            f"cannot compare runs of the tier {' or '.join(names)} with others: their times are"
            " those of an emulation",
            f'leave them out: df[~df["tier"].isin({names})]',
        )
