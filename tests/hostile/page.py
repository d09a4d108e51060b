"""The table of docs/images.md: every hostile input, and what it got."""

from collections.abc import Mapping
from pathlib import Path

from tests.hostile.cases import CASES
from tests.hostile.pulling import Outcome

__all__ = ["PAGE", "renewed", "row"]

PAGE = Path(__file__).parents[2] / "docs" / "images.md"

_BEGIN, _END = "<!-- hostile inputs: written by python -m tests.hostile -->", "<!-- end -->"
_TITLES = {"layer": "A layer with", "document": "A document:", "transport": "A registry with"}
_MAX_SHOWN = 110


def row(name: str, outcome: Outcome) -> str:
    """Return the line of one input."""
    error = outcome.error.removeprefix("failed to register layer: ")
    shown = error if len(error) <= _MAX_SHOWN else error[:_MAX_SHOWN] + "…"
    got = f"`{shown.replace('|', '/')}`" if error else "taken: it has no effect outside the image"
    return f"| {name} | {got} |"


def renewed(text: str, outcomes: Mapping[str, Outcome]) -> str:
    """Return the page with the table of these outcomes, by the names of the cases."""
    refused = sum(bool(outcome.error) for outcome in outcomes.values())
    lines = [f"{len(CASES)} inputs: {refused} refused, {len(CASES) - refused} taken without harm."]
    for kind, title in _TITLES.items():
        lines += ["", f"| {title} | what it got |", "|---|---|"]
        lines += [row(case.name, outcomes[case.name]) for case in CASES if case.kind == kind]
    head, _, rest = text.partition(_BEGIN)
    tail = rest.partition(_END)[2]
    return "\n".join([head + _BEGIN, *lines, _END]) + tail
