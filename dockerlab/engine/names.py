"""Names and ids of containers: chosen by the engine, or checked when a client chose them."""

import re
import secrets
from collections.abc import Container as Collection

from dockerlab.engine.container import ContainerId
from dockerlab.errors import InvalidArgument

__all__ = ["check_name", "choose_name", "new_id"]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)

# Draws before a number is added: most names then have none.
_PLAIN_DRAWS = 5


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ADJECTIVES = _words(
    """
    agile amber brave bright brisk calm clear clever cosy curious dapper eager early fair fleet
    fond gentle glad golden happy honest humble jolly keen kind light lively lucid mellow merry
    mild neat nimble noble patient plain polite proud quick quiet rapid ready serene sharp
    silent silver simple sincere sleek snug solid steady still sunny swift tidy true vivid warm
    wise witty
    """
)
_NOUNS = _words(
    """
    anchor badger barge beacon birch bobcat brook canal cedar cliff comet coral crane creek crow
    delta dolphin dune ember falcon fern finch fjord fox gannet glacier harbor hare heron hill
    island jay kestrel lagoon lark lemur lynx maple marsh meadow narwhal oak orca osprey otter
    pebble pelican pine plover puffin quay raven reef river robin seal sparrow spruce swan tern
    thistle tide walrus whale willow wren
    """
)


def new_id() -> ContainerId:
    """Return 64 random hex digits whose first 12 are not a number.

    A number could be mistaken for a count or a process by scripts, as Docker found out.
    """
    while True:
        candidate = secrets.token_hex(32)
        if not candidate[:12].isdigit():
            return ContainerId(candidate)


def choose_name(taken: Collection[str]) -> str:
    """Return an ``adjective_noun`` that is not in `taken`, numbered when luck runs out."""
    for attempt in range(1000):
        name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_NOUNS)}"
        if attempt >= _PLAIN_DRAWS:
            name += str(secrets.randbelow(10 * attempt))
        if name not in taken:
            return name
    return f"container_{secrets.token_hex(6)}"


def check_name(name: str) -> str:
    """Return the name without its leading slash.

    Raises
    ------
    InvalidArgument
        The name is outside Docker's grammar.
    """
    name = name.removeprefix("/")
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    return name
