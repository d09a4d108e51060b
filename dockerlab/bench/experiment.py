"""Which runs, in which order: random interleaved blocks.

"All cold, then all cached" would mix the difference up with everything that drifts meanwhile: the
processor's clock, the page cache, other people's work. In blocks of one cold and one cached run in
random order a drift touches both alike (randomised block design: Fisher, The Design of Experiments,
1935; `asv --interleave-rounds` does the same).
"""

import random
from dataclasses import dataclass

from dockerlab.bench.sample import Temperature
from dockerlab.errors import InvalidArgument

__all__ = ["Experiment"]

TEMPERATURES: tuple[Temperature, ...] = ("cold", "cached")


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A comparison of cold and cached runs of one image.

    Parameters
    ----------
    image : str
        Its reference.
    runs : int
        Of each temperature, at least 1.
    seed : int
        Of the order; the same seed gives the same order.
    command : tuple of str
        What to run in place of the image's own command.
    """

    image: str
    runs: int = 10
    seed: int = 0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise InvalidArgument(f"cannot compare {self.runs} runs: at least one is needed")

    def order(self) -> list[Temperature]:
        """Return the temperature of each run.

        Examples
        --------
        >>> Experiment(image="hello-world", runs=3).order()
        ['cached', 'cold', 'cold', 'cached', 'cached', 'cold']
        """
        generator = random.Random(self.seed)  # noqa: S311 - an order, not a secret
        order: list[Temperature] = []
        for _ in range(self.runs):
            order += generator.sample(TEMPERATURES, k=len(TEMPERATURES))
        return order
