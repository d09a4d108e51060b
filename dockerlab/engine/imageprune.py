"""Docker's rules of `image prune`: which images go. Pure functions.

Engine API, /images/prune, "filters".
"""

from collections.abc import Collection, Mapping, Sequence

from dockerlab.engine.filters import select_images
from dockerlab.engine.image import Image
from dockerlab.errors import ImageNotFound, InvalidArgument
from dockerlab.oci.digest import Digest

__all__ = ["images_to_prune"]

_TRUE, _FALSE = ("true", "1"), ("false", "0")


def images_to_prune(
    images: Sequence[Image], filters: Mapping[str, Sequence[str]], used: Collection[Digest]
) -> list[Image]:
    """Return the images that no container has and the filters admit.

    Without ``dangling=false`` only those without a tag.

    Parameters
    ----------
    used : collection of Digest
        Ids of the images of containers, running or not.

    Raises
    ------
    InvalidArgument
        A filter is not known, or its value is none.
    """
    wanted = {key: values for key, values in filters.items() if key != "dangling"}
    if unknown := wanted.keys() - {"label", "label!", "until"}:
        raise InvalidArgument(
            f"invalid filter '{min(unknown)}': known are dangling, label, label!, until"
        )
    said = {value.lower() for value in filters.get("dangling", ())}
    if len(said) > 1 or said - {*_TRUE, *_FALSE}:
        raise InvalidArgument(f"invalid filter 'dangling={min(said)}': expected true or false")
    takes_all = bool(said & {*_FALSE})
    return [
        image
        for image in select_images(images, wanted, resolve=_resolve_nothing)
        if image.id not in used and (takes_all or not image.tags)
    ]


def _resolve_nothing(name: str) -> Image:
    raise ImageNotFound(name)
