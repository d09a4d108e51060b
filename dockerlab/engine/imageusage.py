"""What images take of the disk, when they share layers. Pure functions.

Docker's words: an image's *shared* bytes are those of its layers that another image has too, its
*unique* ones the rest, its *virtual* size both together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from dockerlab.oci.digest import Digest

__all__ = ["Layers", "layers_bytes", "shared_bytes"]

# DiffID and unpacked bytes of an image's layers, lowest first.
Layers = Sequence[tuple[Digest, int]]
Name = TypeVar("Name")


def shared_bytes(layers: Mapping[Name, Layers]) -> dict[Name, int]:
    """Return for every image the bytes of its layers that at least one other image has.

    Examples
    --------
    >>> base = (Digest("sha256:a"), 5)
    >>> shared_bytes({"one": [base], "two": [base, (Digest("sha256:b"), 7)], "three": []})
    {'one': 5, 'two': 5, 'three': 0}
    """
    users = Counter(diff_id for each in layers.values() for diff_id in dict(each))
    return {
        name: sum(size for diff_id, size in dict(each).items() if users[diff_id] > 1)
        for name, each in layers.items()
    }


def layers_bytes(layers: Mapping[Name, Layers]) -> int:
    """Return the bytes of all layers, each counted once."""
    return sum({diff_id: size for each in layers.values() for diff_id, size in each}.values())
