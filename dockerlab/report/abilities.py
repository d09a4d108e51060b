"""What a host can do, as a table: the report of `dockerlab doctor`."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dockerlab.report.tables import Table

__all__ = ["ability_table"]

# Of the host itself, tried; and of containers, which follows from those.
KINDS = ("host", "feature")


def ability_table(report: Mapping[str, Any]) -> Table:
    """Return one row for each ability of the host and each feature of containers.

    The tier and its reason are the caption.

    Parameters
    ----------
    report : mapping
        The JSON of `dockerlab doctor --json`.
    """
    rows = [*report["abilities"], *report["features"]]
    kinds = ["host"] * len(report["abilities"]) + ["feature"] * len(report["features"])
    table = Table(
        {
            "kind": pd.Categorical(kinds, categories=KINDS),
            "ability": pd.array([row["title"] for row in rows], dtype="string"),
            "options": pd.array([row.get("options") for row in rows], dtype="string"),
            "can": pd.array([row["ok"] for row in rows], dtype="boolean"),
            "reason": pd.array([row["reason"] for row in rows], dtype="string"),
            "errno": pd.array([row.get("errno") or None for row in rows], dtype="string"),
            "remedy": pd.array([row["remedy"] for row in rows], dtype="string"),
        }
    )
    table.attrs["rows"] = "abilities"
    table.attrs["is_whole"] = True
    table.attrs["caption"] = _caption(report["tier"])
    table.attrs["tier"] = report["tier"]["name"]
    return table


def _caption(tier: Mapping[str, Any]) -> str:
    return f"tier {tier['name']} ({tier['reason']}): {tier['gives']}"
