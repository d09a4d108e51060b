"""The rows of a run and its one-line summary."""

import subprocess
import sys
from dataclasses import replace

from dockerlab.client.timeline import COLUMNS, Timeline
from dockerlab.phases import Phase


def phase(name: str, begin_ms: float, duration_ms: float, layer: str = "") -> Phase:
    return Phase(
        phase=name, begin_s=100 + begin_ms / 1000, duration_s=duration_ms / 1000, layer=layer
    )


CACHED = Timeline(
    engine="dockerlab",
    host="lab",
    tier="rootful",
    image="hello-world:latest",
    temperature="cached",
    begin_s=100.0,
    client=(
        phase("create", 0, 2),
        phase("attach", 2, 3),
        phase("start", 5, 4),
        phase("first_byte", 10, 0),
        phase("exit", 9, 5),
    ),
)


def test_the_columns_are_those_of_the_tidy_table() -> None:
    assert COLUMNS == (
        "engine",
        "host",
        "tier",
        "image",
        "temperature",
        "run",
        "side",
        "phase",
        "layer",
        "begin_s",
        "duration_s",
        "bytes",
    )
    assert all(tuple(row) == COLUMNS for row in CACHED.rows)


def test_rows_count_from_the_beginning_of_the_run_in_its_order() -> None:
    assert [row["phase"] for row in CACHED.rows] == [
        "create",
        "attach",
        "start",
        "exit",
        "first_byte",
    ]
    assert [round(row["begin_s"], 6) for row in CACHED.rows] == [0, 0.002, 0.005, 0.009, 0.010]


def test_the_summary_of_a_cached_run() -> None:
    assert CACHED.summary_line() == "cached · 14 ms: create 2 · start 7 · run 5"


def test_the_summary_of_a_cold_run_tells_the_parts_of_the_pull() -> None:
    cold = replace(
        CACHED,
        temperature="cold",
        client=(
            phase("lookup", 0, 2),
            phase("pull", 2, 280),
            phase("create", 282, 3),
            phase("attach", 285, 1),
            phase("start", 286, 7),
            phase("exit", 293, 5),
        ),
        engine_side=(
            phase("manifest", 2, 12),
            # Two layers at once: what overlaps is counted once.
            phase("download", 14, 60, "a"),
            phase("download", 34, 70, "b"),
            phase("unpack", 100, 100, "a"),
            phase("unpack", 220, 50, "b"),
        ),
    )
    assert cold.summary_line() == (
        "cold · 298 ms: pull 280 (manifest 12 · download 90 · unpack 150)"
        " · create 3 · start 8 · run 5"
    )


def test_a_long_run_is_told_in_seconds_and_a_short_phase_with_a_decimal() -> None:
    long = replace(CACHED, client=(phase("create", 0, 400), phase("exit", 400, 11_600)))
    assert long.summary_line() == "cached · 12.0 s: create 0.4 · run 11.6"
    short = replace(CACHED, client=(phase("create", 0, 0.44),))
    assert short.summary_line() == "cached · 0.4 ms: create 0.4"


def test_the_frame_has_real_dtypes() -> None:
    frame = CACHED.frame
    assert tuple(frame.columns) == COLUMNS
    assert frame["duration_s"].dtype == "float64"
    assert str(frame["bytes"].dtype).lower() == "int64"
    assert frame["phase"].dtype == "category"


def test_nothing_heavy_is_imported_by_the_client() -> None:
    code = (
        "import sys; import dockerlab.client.run, dockerlab.client.pull, dockerlab.cli;"
        "print([m for m in ('pandas', 'docker', 'requests', 'numpy', 'IPython', 'tornado')"
        " if m in sys.modules])"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert output.strip() == "[]"


def test_the_summary_says_when_times_are_emulated() -> None:
    line = replace(CACHED, tier="ptrace").summary_line()

    assert line.startswith("cached, emulated · 14 ms: ")
