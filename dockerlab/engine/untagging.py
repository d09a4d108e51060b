"""Docker's rules of `rmi`: which names go, and what forbids it. Pure functions."""

from collections.abc import Sequence

from dockerlab.engine.container import Container
from dockerlab.engine.image import Image
from dockerlab.errors import Conflict
from dockerlab.oci.digest import Digest, digest_of, short
from dockerlab.oci.reference import parse_reference

__all__ = ["chain_ids", "check_removal", "names_to_drop"]


def check_removal(  # noqa: PLR0913 - what Docker looks at
    name: str,
    image: Image,
    names: Sequence[str],
    reference: str | None,
    users: Sequence[Container],
    *,
    force: bool,
    has_children: bool = False,
) -> None:
    """Raise Conflict when the image may not be removed under this name.

    Parameters
    ----------
    name : str
        As the client wrote it.
    names : sequence of str
        The full references of the image.
    reference : str or None
        The one of `names` that was asked for; None when an id was.
    users : sequence of Container
        The containers made from the image.
    has_children : bool
        Builds have made other images of it.
    """
    running = [c for c in users if c.state.is_running]
    image_id = short(image.id)
    if reference is not None:
        is_last = len(names_to_drop(names, reference)) == len(names)
        if is_last and users and not force:
            raise Conflict(
                f'conflict: unable to remove repository reference "{name}" (must force) - '
                f"container {users[0].id[:12]} is using its referenced image {image_id}"
            )
        return
    if has_children:
        raise Conflict(
            f"conflict: unable to delete {image_id} (cannot be forced) - "
            "image has dependent child images"
        )
    if running:
        raise Conflict(
            f"conflict: unable to delete {image_id} (cannot be forced) - "
            f"image is being used by running container {running[0].id[:12]}"
        )
    if force:
        return
    if len({parse_reference(full).name for full in names}) > 1:
        raise Conflict(
            f"conflict: unable to delete {image_id} (must be forced) - "
            "image is referenced in multiple repositories"
        )
    if users:
        raise Conflict(
            f"conflict: unable to delete {image_id} (must be forced) - "
            f"image is being used by stopped container {users[0].id[:12]}"
        )


def names_to_drop(names: Sequence[str], reference: str | None) -> list[str]:
    """Return the full references that go.

    All of them for an id; else the one, and the digests of its repository when no tag of that
    repository is left.
    """
    if reference is None:
        return list(names)
    asked = parse_reference(reference)
    rest = [parse_reference(full) for full in names if full != reference]
    has_other_tag = any(r.name == asked.name and r.tag and not r.digest for r in rest)
    if has_other_tag:
        return [reference]
    return [reference, *(str(r) for r in rest if r.name == asked.name)]


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """Return the chainID of every layer, lowest first (image-spec/config.md#layer-chainid)."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain
