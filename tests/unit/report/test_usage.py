"""What containers use: the percentages of the docker command line, on both versions of cgroups."""

from datetime import timedelta
from typing import Any

import pandas as pd

from dockerlab.report.listings import change_table, volume_table
from dockerlab.report.usage import process_table, usage_table


def sample(total_ns: int, system_ns: int, **memory: Any) -> dict[str, Any]:
    return {
        "id": "0123456789abcdef",
        "name": "/web",
        "read": "2026-01-01T00:00:00.5Z",
        "cpu_stats": {
            "cpu_usage": {"total_usage": total_ns},
            "system_cpu_usage": system_ns,
            "online_cpus": 2,
        },
        "memory_stats": memory,
        "pids_stats": {"current": 3},
        "networks": {
            "eth0": {"rx_bytes": 10, "tx_bytes": 1},
            "eth1": {"rx_bytes": 5, "tx_bytes": 1},
        },
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"op": "Read", "value": 7},
                {"op": "write", "value": 8},
                {"op": "Total", "value": 15},
            ]
        },
    }


REST = {
    "id": "f" * 64,
    "name": "/rest",
    "read": "0001-01-01T00:00:00Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 0}},
    "memory_stats": {},
    "pids_stats": {},
    "blkio_stats": {"io_service_bytes_recursive": None},
}


def test_cpu_is_the_share_of_one_processor_and_memory_without_dropped_pages() -> None:
    for dropped in ({"inactive_file": 24}, {"total_inactive_file": 24, "inactive_file": 1}):
        memory = {"usage": 124, "limit": 1000, "stats": dropped}
        table = usage_table([sample(0, 0, **memory)], [sample(50, 200, **memory)])

        row = table.iloc[0]
        assert (row["cpu_percent"], row["memory_bytes"], row["memory_percent"]) == (50.0, 100, 10.0)
        assert (row["received_bytes"], row["sent_bytes"]) == (15, 2)
        assert (row["read_bytes"], row["written_bytes"], row["processes"]) == (7, 8, 3)


def test_what_does_not_run_uses_nothing_that_is_known() -> None:
    table = usage_table([REST], [REST])

    known = ["container_id", "name"]
    assert table.drop(columns=known).isna().all(axis=None)
    assert str(table.dtypes["memory_bytes"]) == "Int64"


def test_shown_with_human_units() -> None:
    memory = {"usage": 64 << 20, "limit": 1 << 30}
    lines = repr(usage_table([sample(0, 0, **memory)], [sample(1, 8, **memory)])).splitlines()

    assert lines[0].split()[:5] == ["CONTAINER", "ID", "NAME", "CPU", "MEMORY"]
    assert "25.00 %" in lines[1]
    assert "67.1MB" in lines[1]
    assert repr(usage_table([], [])) == "no containers"


def test_times_of_processes_are_durations_and_numbers_are_numbers() -> None:
    found = {
        "Titles": ["UID", "PID", "TIME", "ELAPSED", "CMD"],
        "Processes": [["root", "12", "00:01:02", "1-02:03:04", "sh -c x"]],
    }
    table = process_table(found)

    assert table.columns.tolist() == ["user", "pid", "cpu_time", "elapsed", "command"]
    assert table["cpu_time"][0] == timedelta(seconds=62)
    assert table["elapsed"][0] == timedelta(days=1, hours=2, minutes=3, seconds=4)
    assert "62 s" in repr(table)
    lines = process_table({"Titles": ["PID   USER  COMMAND"], "Processes": [["1 root  sleep 1"]]})
    assert list(lines.itertuples(index=False, name=None)) == [(1, "root", "sleep 1")]
    odd = process_table({"Titles": ["PID", "TIME"], "Processes": [["?", "-"]]})
    assert {str(kind) for kind in odd.dtypes} == {"string"}


def test_volumes_have_sizes_where_somebody_measured_them() -> None:
    rows = [
        {
            "Name": name,
            "Driver": "local",
            "Scope": "local",
            "Mountpoint": f"/v/{name}",
            "CreatedAt": "2026-01-01T00:00:00Z",
            "Labels": {"a": "b", "c": ""},
        }
        for name in ("one", "two")
    ]
    table = volume_table(rows, {"one": {"Size": 5, "RefCount": 0}, "two": {"Size": -1}})

    assert table["size_bytes"].tolist() == [5, pd.NA]
    assert table["labels"][0] == "a=b, c"
    assert "size_bytes" not in volume_table(rows)
    assert str(volume_table([]).dtypes["created_at"]) == "datetime64[us, UTC]"


def test_changes_are_categories_in_words() -> None:
    table = change_table([{"Kind": 0, "Path": "/etc"}, {"Kind": 2, "Path": "/etc/gone"}])

    assert table["change"].tolist() == ["changed", "deleted"]
    assert table["change"].cat.categories.tolist() == ["changed", "added", "deleted"]
