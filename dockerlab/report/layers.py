"""The layers of an image as a table: what each one adds, changes, deletes and wastes."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dockerlab.report.tables import Table
from dockerlab.units import human_size

__all__ = ["layer_table", "wasted_table"]

_COUNTS = ("added", "changed", "deleted", "bytes", "wasted_bytes")


def layer_table(report: Mapping[str, Any]) -> Table:
    """Return one row for each layer, lowest first; what is wasted in all is the caption.

    Parameters
    ----------
    report : mapping
        The JSON of ``GET /dockerlab/images/{name}/layers``.

    Returns
    -------
    Table
        ``layer`` (number), ``diff_id``, ``created_at``, ``instruction``, the files ``added``,
        ``changed`` and ``deleted``, ``size_bytes`` and of these ``wasted_bytes``. In its `attrs`
        are ``efficiency`` (0 to 1) and ``wasted``, the paths that waste most with their bytes.
    """
    rows = report["layers"]
    columns: dict[str, Any] = {
        "layer": pd.array([row["index"] for row in rows], dtype="Int64"),
        "diff_id": pd.array([row["diff_id"] for row in rows], dtype="string"),
        "created_at": _times([row["created_at"] for row in rows]),
        "instruction": pd.array([row["instruction"] for row in rows], dtype="string"),
    }
    for count in _COUNTS:
        name = "size_bytes" if count == "bytes" else count
        columns[name] = pd.array([row[count] for row in rows], dtype="Int64")
    table = Table(columns)
    total, wasted = (sum(row[key] for row in rows) for key in ("bytes", "wasted_bytes"))
    table.attrs["rows"] = "layers"
    table.attrs["efficiency"] = 1 - wasted / total if total else 1.0
    table.attrs["wasted"] = [dict(each) for each in report["wasted"]]
    table.attrs["caption"] = (
        f"{human_size(wasted)} of {human_size(total)} are hidden by later layers: "
        f"{table.attrs['efficiency']:.0%} efficient"
    )
    return table


def wasted_table(report: Mapping[str, Any]) -> Table:
    """Return the paths that waste most, worst first: ``path``, ``wasted_bytes``."""
    rows = report["wasted"]
    table = Table(
        {
            "path": pd.array([row["path"] for row in rows], dtype="string"),
            "wasted_bytes": pd.array([row["bytes"] for row in rows], dtype="Int64"),
        }
    )
    table.attrs["rows"] = "paths"
    return table


def _times(texts: list[str]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(texts, utc=True, format="ISO8601")).as_unit("us")
