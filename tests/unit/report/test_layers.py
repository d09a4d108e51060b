from typing import Any

import pytest

from dockerlab.report.layers import layer_table, wasted_table

REPORT: dict[str, Any] = {
    "id": "sha256:" + "a" * 64,
    "layers": [
        {
            "index": 0,
            "diff_id": "sha256:" + "b" * 64,
            "created_at": "2026-01-31T12:00:00.123456Z",
            "instruction": "COPY . /",
            "added": 3,
            "changed": 0,
            "deleted": 0,
            "bytes": 100,
            "wasted_bytes": 25,
        }
    ],
    "wasted": [{"path": "/a", "bytes": 25}],
}
EMPTY: dict[str, Any] = {"id": "", "layers": [], "wasted": []}


@pytest.mark.parametrize("report", [REPORT, EMPTY])
def test_dtypes_are_always_the_same(report: dict[str, Any]) -> None:
    assert layer_table(report).dtypes.astype(str).to_dict() == {
        "layer": "Int64",
        "diff_id": "string",
        "created_at": "datetime64[us, UTC]",
        "instruction": "string",
        "added": "Int64",
        "changed": "Int64",
        "deleted": "Int64",
        "size_bytes": "Int64",
        "wasted_bytes": "Int64",
    }
    assert wasted_table(report).dtypes.astype(str).to_dict() == {
        "path": "string",
        "wasted_bytes": "Int64",
    }


def test_what_is_wasted_is_said_below() -> None:
    table = layer_table(REPORT)
    assert table.attrs["efficiency"] == 0.75
    assert "25B of 100B are hidden by later layers: 75% efficient" in repr(table)
    assert layer_table(EMPTY).attrs["efficiency"] == 1.0
    assert wasted_table(REPORT)["path"].tolist() == ["/a"]
