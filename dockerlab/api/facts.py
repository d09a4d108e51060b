"""What engines know: of one object, and which engines there are."""

from typing import TYPE_CHECKING, Any

from dockerlab.api.opening import Engine, opened
from dockerlab.client.engines import EngineState, list_engines, look
from dockerlab.client.refusals import engine_errors
from dockerlab.config import process_environment
from dockerlab.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["engine_states", "engines", "inspect"]

_KINDS = ("container", "image", "volume")


def inspect(name: str, *, kind: str = "", engine: Engine = "") -> dict[str, Any]:
    """Return the engine's JSON of a container, an image or a volume.

    Parameters
    ----------
    name : str
        Name, reference or id.
    kind : str
        ``container``, ``image``, ``volume``, or '' for any, in this order.
    engine : str or Session
        Which engine.

    Raises
    ------
    NotFound
        There is none of this name.
    """
    if kind not in ("", *_KINDS):
        raise InvalidArgument(f'invalid value "{kind}" for --type: {", ".join(_KINDS)}')
    with opened(engine) as session:
        for each in (kind,) if kind else _KINDS:
            try:
                with engine_errors(session.address):
                    return dict(getattr(session.api, f"inspect_{each}")(name))
            except NotFound:
                if kind:
                    raise
    raise NotFound(
        f"No such object: {name}", "see %images, %ps -a and %volume ls for what there is"
    )


def engines(*, in_use: str = "") -> "Table":
    """Return the engines there are to choose from, and which answer, as a DataFrame.

    Parameters
    ----------
    in_use : str
        Address of the one that is used now, to be marked.
    """
    from dockerlab.report.listings import engine_table

    return engine_table(engine_states(), in_use=in_use)


def engine_states() -> list[EngineState]:
    """Return what `engines` has in its table; no pandas is needed. No engine is started."""
    return look(list_engines(process_environment()))
