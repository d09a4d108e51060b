"""docs/conformance.md says of every route what the table of routes does with it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerlab.daemon.routes import (
    archive,
    builds,
    commits,
    containers,
    dockerlab,
    events,
    images,
    networks,
    registries,
    resources,
    stats,
    streams,
    system,
    transfers,
    unsupported,
    volumes,
)
from dockerlab.daemon.routes import exec as execs

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
ROW = re.compile(r"^\| `(GET|POST|PUT|DELETE|HEAD) (/[^`]*)` \| (\w+)", re.MULTILINE)
# In the order of daemon.app: what is refused stands before names in the same place.
TABLES = (
    unsupported,
    system,
    containers,
    streams,
    execs,
    transfers,
    images,
    events,
    networks,
    volumes,
    archive,
    builds,
    registries,
    dockerlab,
    resources,
    stats,
    commits,
)
REFUSING = {unsupported.UnsupportedHandler}


def _rows() -> list[tuple[str, str, str]]:
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def _routes() -> Iterator[tuple[str, Any]]:
    for table in TABLES:
        yield from table.ROUTES


def _handler(path: str) -> Any:
    """Return what answers a path of the page, with its names filled in."""
    concrete = re.sub(r"\{\w+\}", "x", path)
    return next((handler for route, handler in _routes() if re.fullmatch(route, concrete)), None)


@pytest.mark.parametrize(("method", "path", "state"), _rows(), ids=lambda value: value)
def test_a_route_does_what_the_page_says(method: str, path: str, state: str) -> None:
    handler = _handler(path)

    assert handler is not None
    if state == "no":
        assert handler in REFUSING
    else:
        assert handler not in REFUSING
        assert method.lower() in vars(handler)


def test_the_page_has_every_route_that_does_something() -> None:
    described = {_handler(path) for _, path, _ in _rows()}

    assert {handler for _, handler in _routes()} - REFUSING - described == set()
