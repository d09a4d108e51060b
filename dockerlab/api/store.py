"""The images in an engine's store."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dockerlab.api.opening import Engine, Filters, lists, opened
from dockerlab.client.pull import PullLine, PullResult
from dockerlab.client.pull import pull as _pull
from dockerlab.client.refusals import engine_errors

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["history", "images", "pull", "rmi"]


def pull(
    image: str,
    *,
    platform: str = "",
    engine: Engine = "",
    on_progress: Callable[[PullLine], None] | None = None,
) -> PullResult:
    """Fetch an image from its registry into the engine's store; return its reference and digest."""
    with opened(engine) as session:
        return _pull(session, image, on_progress, platform=platform)


def images(
    name: str = "",
    *,
    all: bool = False,  # noqa: A002 - Docker's word
    digests: bool = False,
    filters: Filters | None = None,
    engine: Engine = "",
) -> "Table":
    """Return the images in the store as a DataFrame, one row a reference."""
    with opened(engine) as session, engine_errors(session.address):
        found = session.api.images(name=name or None, all=all, filters=lists(filters))
    from dockerlab.report.listings import image_table

    return image_table(found, with_digests=digests)


def rmi(
    *names: str,
    force: bool = False,
    no_prune: bool = False,
    engine: Engine = "",
    on_step: Callable[[str], None] = lambda _line: None,
) -> list[str]:
    """Remove images one by one; return what was done, which `on_step` is told as it is done."""
    lines: list[str] = []
    with opened(engine) as session:
        for name in names:
            with engine_errors(session.address):
                done = session.api.remove_image(name, force=force, noprune=no_prune)
            for step in done or ():
                for action, what in step.items():
                    lines.append(f"{action}: {what}")
                    on_step(lines[-1])
    return lines


def history(image: str, *, engine: Engine = "") -> "Table":
    """Return the steps that an image was made in as a DataFrame, newest first."""
    with opened(engine) as session, engine_errors(session.address):
        steps: list[dict[str, Any]] = session.api.history(image)
    from dockerlab.report.listings import history_table

    return history_table(steps)
