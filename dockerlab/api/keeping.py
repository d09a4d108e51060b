"""Volumes: what outlives containers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockerlab.api.opening import Engine, Filters, lists, opened
from dockerlab.client.refusals import engine_errors

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["volume_create", "volume_inspect", "volume_prune", "volume_rm", "volumes"]


def volumes(*, size: bool = False, filters: Filters | None = None, engine: Engine = "") -> "Table":
    """Return the volumes as a DataFrame.

    Parameters
    ----------
    size : bool
        With the bytes that each holds and the containers that use it; the engine measures them.
    filters : mapping, optional
        Such as ``{"dangling": "true"}``.
    engine : str or Session
        Which engine.
    """
    with opened(engine) as session, engine_errors(session.address):
        found: list[dict[str, Any]] = session.api.volumes(lists(filters)).get("Volumes") or []
        measured: list[dict[str, Any]] = (session.api.df().get("Volumes") or []) if size else []
    from dockerlab.report.listings import volume_table

    usage = {each["Name"]: each.get("UsageData") or {} for each in measured}
    return volume_table(found, usage if size else None)


def volume_create(
    name: str = "",
    *,
    driver: str = "",
    options: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    engine: Engine = "",
) -> str:
    """Make a volume, or find the one of this name; return its name.

    Parameters
    ----------
    name : str
        '' lets the engine choose one.
    driver : str
        '' is ``local``.
    options : mapping, optional
        The driver's: ``{"type": "none", "o": "bind", "device": "/folder"}``.
    labels : mapping, optional
        To find it by.
    engine : str or Session
        Which engine.
    """
    with opened(engine) as session, engine_errors(session.address):
        made: dict[str, Any] = session.api.create_volume(
            name or None, driver or None, dict(options or {}), dict(labels or {}) or None
        )
    return str(made["Name"])


def volume_inspect(name: str, *, engine: Engine = "") -> dict[str, Any]:
    """Return the engine's JSON of a volume."""
    with opened(engine) as session, engine_errors(session.address):
        return dict(session.api.inspect_volume(name))


def volume_rm(*names: str, force: bool = False, engine: Engine = "") -> None:
    """Remove volumes one by one, with what they hold; one that is in use is refused."""
    with opened(engine) as session, engine_errors(session.address):
        for name in names:
            session.api.remove_volume(name, force=force)


def volume_prune(
    *,
    all: bool = False,  # noqa: A002 - Docker's word
    filters: Filters | None = None,
    engine: Engine = "",
) -> tuple[list[str], int]:
    """Remove the volumes that no container uses; return their names, and the bytes that are free.

    Parameters
    ----------
    all : bool
        Those with a name of their own, too, not only the anonymous ones.
    filters : mapping, optional
        Such as ``{"label": "of=tests"}``.
    engine : str or Session
        Which engine.
    """
    chosen = lists(filters) | ({"all": ["true"]} if all else {})
    with opened(engine) as session, engine_errors(session.address):
        done: dict[str, Any] = session.api.prune_volumes(chosen)
    return list(done.get("VolumesDeleted") or []), int(done.get("SpaceReclaimed") or 0)
