"""How one value of a table is shown: by the name of its column.

A column's name says its unit (`size_bytes`, `created_at`, `duration_s`), so any table that is cut,
joined or grouped out of ours still shows human units, and nothing has to be carried along. The
values in the table stay what they are.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from dockerlab.units import human_age, human_size, human_time

__all__ = ["heading", "shown", "title"]

_SHORT_ID = 12
# Longer words are cut for the eye; docker cuts commands at 20.
_LONG = {"command": 32, "created_by": 48}
_SUFFIXES = ("_bytes", "_at", "_s", "_percent")


def heading(column: object) -> str:
    """Return the words above a column.

    Examples
    --------
    >>> heading("created_at"), heading("image_id"), heading("bytes")
    ('created', 'image id', 'size')
    """
    name = str(column)
    if name == "bytes":
        return "size"
    name = name.removeprefix("is_")
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name.replace("_", " ")


def shown(column: object, value: Any, now: datetime) -> str:
    """Return a value as a person reads it; '' for a missing one."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if pd.isna(value) or (column == "bytes" and value == 0):
        # In a timeline, nothing moved means that the phase moves nothing.
        return ""
    text = _writer(str(column), now)(value)
    limit = _LONG.get(str(column), len(text))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def title(column: object, value: Any) -> str:
    """Return the exact value where `shown` rounds or shortens, else ''."""
    if isinstance(value, (list, tuple)) or pd.isna(value):
        return ""
    name = str(column)
    if name.endswith("_at"):
        return pd.Timestamp(value).isoformat()
    if name.endswith("bytes"):
        return f"{int(value):,} bytes"
    if name.endswith("_s"):
        return f"{float(value):.6f} s"
    is_cut = (_is_id(name) and len(str(value)) > _SHORT_ID) or name in _LONG
    return str(value) if is_cut else ""


def _writer(name: str, now: datetime) -> Callable[[Any], str]:
    if name.endswith("bytes"):
        return human_size
    if name.endswith("_at"):
        return lambda moment: human_age(pd.Timestamp(moment).tz_convert(UTC).to_pydatetime(), now)
    if name.endswith("_s"):
        return lambda seconds: human_time(float(seconds))
    if name.endswith("_percent"):
        return lambda share: f"{float(share):.2f} %"
    if _is_id(name):
        return short_id
    return _plain


def short_id(value: object) -> str:
    """Return the 12 digits of an id or digest by which people know it."""
    return str(value).removeprefix("sha256:")[:_SHORT_ID]


def _is_id(name: str) -> bool:
    return name.endswith("_id") or name in {"layer", "id"}


def _plain(value: object) -> str:
    if pd.api.types.is_bool(value):
        return "✔" if value else "✘"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, timedelta):
        return human_time(value.total_seconds())
    return str(value)
