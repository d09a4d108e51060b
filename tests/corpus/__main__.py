"""Build images and push them: ``python -m tests.corpus --registry 127.0.0.1:PORT [names…]``."""

import argparse
import sys
from pathlib import Path

from tests.corpus.pusher import HELLO, push
from tests.corpus.recipes import RECIPES, RecipeUnavailable
from tests.corpus.shelf import Shelf

_CACHE = Path(__file__).parents[2] / ".cache" / "corpus"


def main() -> None:
    """Build images, or take them from the cache, and push them as ``library/<name>:latest``."""
    small = [HELLO, *(name for name, recipe in RECIPES.items() if not recipe.is_large)]
    everything = [HELLO, *RECIPES]
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=main.__doc__)
    parser.add_argument("--registry", required=True, metavar="HOST:PORT")
    parser.add_argument("--cache", type=Path, default=_CACHE, metavar="DIR")
    parser.add_argument("--all", action="store_true", help="the large ones too")
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(everything)}; else the small ones"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(everything):
        parser.error(f"no such image: {', '.join(sorted(unknown))}")
    shelf = Shelf(arguments.cache)
    for name in arguments.names or (everything if arguments.all else small):
        try:
            pushed = push(arguments.registry, name, shelf)
        except RecipeUnavailable as exc:
            sys.exit(f"cannot build {name}: {exc}")
        print(  # noqa: T201 - this is a command
            f"{pushed.reference} {pushed.digest} {pushed.layers} layers, {pushed.entries} entries,"
            f" {pushed.size / 1e6:.1f} MB"
        )


if __name__ == "__main__":
    main()
