"""A small comparison whose numbers are known, for the tests of this room."""

from typing import Any

from dockerlab.report.tables import Table
from dockerlab.report.timelines import timeline_frame

COLD_MS = (60, 100, 80)
CACHED_MS = (20, 10, 30)


def row(temperature: str, run: int, phase: str, begin_ms: float, ms: float, **rest: Any) -> Any:
    return {
        "engine": "dockerlab",
        "host": "lab",
        "tier": "rootful",
        "image": "hello-world:latest",
        "temperature": temperature,
        "run": run,
        "side": "client",
        "phase": phase,
        "layer": "",
        "begin_s": begin_ms / 1000,
        "duration_s": ms / 1000,
        "bytes": 0,
        **rest,
    }


def comparison(**rest: Any) -> Table:
    """Three cold and three cached runs; the last millisecond of each is its `exit`."""
    rows = []
    for run, total in enumerate(COLD_MS):
        rows += [
            row("cold", run, "lookup", 0, 1, **rest),
            row("cold", run, "pull", 1, total - 11, **rest),
            row("cold", run, "download", 2, 3, side="engine", layer="sha256:a", **rest),
            row("cold", run, "download", 3, 6, side="engine", layer="sha256:b", **rest),
            row("cold", run, "create", total - 10, 9, **rest),
            row("cold", run, "exit", total - 1, 1, **rest),
            row("cold", run, "remove", total, 500, **rest),
        ]
    for run, total in enumerate(CACHED_MS, start=3):
        rows += [
            row("cached", run, "create", 0, total - 1, **rest),
            row("cached", run, "exit", total - 1, 1, **rest),
        ]
    return timeline_frame(rows, {"kernel": "6.18"})
