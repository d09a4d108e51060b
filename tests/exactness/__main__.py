"""Compare every image of the corpus: ``python -m tests.exactness [names…]``, as root."""

import sys
import tempfile
from pathlib import Path

from tests.corpus.pusher import HELLO, push
from tests.corpus.recipes import RECIPES
from tests.corpus.shelf import Shelf
from tests.exactness.comparison import layers_of, root_differences
from tests.exactness.trees import of_layers, of_umoci
from tests.support.engine import EngineUnderTest
from tests.support.registry import running_registry

_CACHE = Path(__file__).parents[2] / ".cache" / "corpus"


def main(names: list[str]) -> int:
    """Print a line an image; return how many differ."""
    shelf, engine, different = Shelf(_CACHE), EngineUnderTest(), 0
    with tempfile.TemporaryDirectory(prefix="dockerlab-exact-") as place:
        try:
            engine.start()
            with running_registry(Path(place)) as registry:
                for name in names or [HELLO, *RECIPES]:
                    pushed = push(registry.address, name, shelf)
                    ours = of_layers(layers_of(engine, pushed.reference))
                    lines = root_differences(ours, of_umoci(pushed.reference))
                    different += bool(lines)
                    print(f"{name}: {len(ours)} files, {len(lines)} differences")  # noqa: T201
                    for line in lines[:20]:
                        print(f"  {line}")  # noqa: T201
        finally:
            engine.close()
    return different


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
