"""Looking into images: what each layer does to the files below it."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dockerlab.api.opening import Engine, opened
from dockerlab.client.session import Session, fetch_json
from dockerlab.errors import ImageNotFound, NotFound, Unsupported

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["fetch_layers", "layers"]


def layers(image: str, *, engine: Engine = "") -> "Table":
    """Return what each layer of an image does as a DataFrame, one row a layer, lowest first.

    Parameters
    ----------
    image : str
        Reference or id of an image in the store; nothing is pulled.
    engine : str or Session
        Which engine; only our own looks into layers.

    Returns
    -------
    Table
        As `report.layers.layer_table`: the instruction, files added, changed, deleted, bytes, and
        those that later layers hide.

    Raises
    ------
    ImageNotFound
        The image is not in the store.
    Unsupported
        The engine is not ours.
    """
    with opened(engine) as session:
        report = fetch_layers(session, image)
    from dockerlab.report.layers import layer_table

    return layer_table(report)


def fetch_layers(session: Session, image: str) -> dict[str, Any]:
    """Return the JSON of ``/dockerlab/images/{name}/layers``; raises as `layers`."""
    try:
        answer: Any = fetch_json(session, f"/dockerlab/images/{quote(image, safe='/:@')}/layers")
    except ImageNotFound:
        raise
    except NotFound as exc:
        raise Unsupported(
            "only dockerlab's own engine looks into layers", 'choose it with engine="dockerlab"'
        ) from exc
    return dict(answer)
