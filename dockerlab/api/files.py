"""Files of containers: what they have changed, and copies out of them and into them."""

from pathlib import Path
from typing import TYPE_CHECKING

from dockerlab.api.opening import Engine, opened
from dockerlab.client.refusals import engine_errors
from dockerlab.errors import InvalidArgument

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["cp", "diff", "export"]


def diff(container: str, *, engine: Engine = "") -> "Table":
    """Return what a container has changed of its image's files, as a DataFrame."""
    with opened(engine) as session, engine_errors(session.address):
        # None where nothing has changed.
        found = session.api.diff(container) or []
    from dockerlab.report.listings import change_table

    return change_table(found)


def cp(source: str, destination: str, *, engine: Engine = "") -> Path | str:
    """Copy files out of a container or into one, with all below a folder, as `docker cp` does.

    Parameters
    ----------
    source, destination : str
        One of them is ``CONTAINER:PATH``, the other a path here. What is copied belongs to who
        copies: to you here, to root there.
    engine : str or Session
        Which engine.

    Returns
    -------
    Path or str
        Where it lies now: a path here, or ``CONTAINER:PATH``.

    Raises
    ------
    InvalidArgument
        Neither or both are in containers; or the destination cannot take it.
    NotFound
        The source is not there.
    """
    # Late: reading archives takes modules that no other verb needs.
    from dockerlab.client.copying import copy_in, copy_out, split_place

    inside, outside = split_place(source), split_place(destination)
    if inside and outside:
        raise InvalidArgument(
            "cannot copy between containers", "copy to a folder here first, and from there"
        )
    with opened(engine) as session:
        if inside:
            return copy_out(session, *inside, Path(destination))
        if outside:
            return copy_in(session, source, *outside)
    raise InvalidArgument(
        "neither the source nor the destination is in a container", "write CONTAINER:PATH for one"
    )


def export(container: str, path: str | Path, *, engine: Engine = "") -> Path:
    """Write all files of a container into a tar archive; return its path.

    Nothing is there under its name until it is whole.
    """
    from dockerlab.client.copying import save_export

    with opened(engine) as session:
        return save_export(session, container, Path(path))
