"""Which runs, in which order: random interleaved blocks.

"All cold, then all cached", or one engine after the other, would mix the difference up with
everything that drifts meanwhile: the processor's clock, the page cache, other people's work. In
blocks of one run of each kind in random order a drift touches all alike (randomised block design:
Fisher, The Design of Experiments, 1935; `asv --interleave-rounds` does the same).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from dockerlab.bench.sample import Cell, Temperature
from dockerlab.errors import InvalidArgument

__all__ = ["TEMPERATURES", "Experiment"]

TEMPERATURES: tuple[Temperature, ...] = ("cold", "cached")


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A comparison of runs of one image, cold and cached, on one engine or on several.

    Parameters
    ----------
    image : str
        Its reference; with several engines, one with a digest.
    runs : int
        Of each kind, at least 1.
    seed : int
        Of the order; the same seed gives the same order.
    command : tuple of str
        What to run in place of the image's own command.
    temperatures : tuple of str
        ``cold``, ``cached`` or both.
    network : str
        The containers' network; '' is each engine's own default.
    """

    image: str
    runs: int = 10
    seed: int = 0
    command: tuple[str, ...] = ()
    temperatures: tuple[Temperature, ...] = TEMPERATURES
    network: str = ""

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise InvalidArgument(f"cannot compare {self.runs} runs: at least one is needed")
        unknown = [name for name in self.temperatures if name not in TEMPERATURES]
        if unknown or not self.temperatures:
            raise InvalidArgument(
                f'invalid temperature: "{unknown[0] if unknown else ""}"',
                f"choose of these, with commas: {','.join(TEMPERATURES)}",
            )
        if len(set(self.temperatures)) < len(self.temperatures):
            raise InvalidArgument("a temperature is named twice")

    def order(self, engines: Sequence[str] = ("",)) -> list[Cell]:
        """Return the kind of each run: blocks of one run of each engine at each temperature.

        Examples
        --------
        >>> order = Experiment(image="hello-world", runs=3).order()
        >>> [cell.temperature for cell in order]
        ['cached', 'cold', 'cold', 'cached', 'cached', 'cold']
        """
        generator = random.Random(self.seed)  # noqa: S311 - an order, not a secret
        kinds = [
            Cell(engine=engine, temperature=temperature)
            for engine, temperature in product(engines, self.temperatures)
        ]
        order: list[Cell] = []
        for _ in range(self.runs):
            order += generator.sample(kinds, k=len(kinds))
        return order
