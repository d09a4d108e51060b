"""A result is light until its timeline is looked at."""

import subprocess
import sys
from dataclasses import replace

from dockerlab.client.request import RunOutcome
from dockerlab.client.timeline import Timeline
from dockerlab.phases import Phase
from dockerlab.report.result import RunResult

OUTCOME = RunOutcome(
    exit_code=0,
    stdout="안녕\n".encode(),
    stderr=b"",
    container_id="c" * 64,
    name="happy_hopper",
    image="hello-world:latest",
    was_cached=True,
    timeline=Timeline(
        engine="dockerlab",
        host="lab",
        tier="rootful",
        image="hello-world:latest",
        temperature="cached",
        begin_s=10.0,
        client=(
            Phase(phase="create", begin_s=10.0, duration_s=0.002),
            Phase(phase="start", begin_s=10.002, duration_s=0.007),
            Phase(phase="exit", begin_s=10.009, duration_s=0.005),
        ),
    ),
)


def test_output_is_text() -> None:
    assert RunResult(OUTCOME).stdout == "안녕\n"


def test_it_is_shown_as_one_line_in_both_forms() -> None:
    result = RunResult(OUTCOME)

    assert repr(result) == "cached · 14 ms: create 2 · start 7 · run 5"
    assert "cached · 14 ms" in result._repr_html_()


def test_a_failure_is_said_first() -> None:
    assert repr(RunResult(replace(OUTCOME, exit_code=3))).startswith("exit code 3 · cached")


def test_a_detached_container_is_named() -> None:
    assert repr(RunResult(replace(OUTCOME, exit_code=None))).startswith("started happy_hopper")


def test_the_timeline_is_a_table_with_the_rows_of_the_run() -> None:
    table = RunResult(OUTCOME).timeline

    assert list(table["phase"]) == ["create", "start", "exit"]
    assert table.lab.summary()["runs"].tolist() == [1]


def test_pandas_waits_until_the_timeline_is_looked_at() -> None:
    code = (
        "import sys, tests.unit.report.test_result as t;"
        "r = t.RunResult(t.OUTCOME); repr(r), r._repr_html_(), r.stdout, r.exit_code;"
        "assert 'pandas' not in sys.modules;"
        "r.timeline; assert 'pandas' in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
