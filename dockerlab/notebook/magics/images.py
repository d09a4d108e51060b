"""%pull, %images, %rmi and %history."""

from typing import TYPE_CHECKING

from dockerlab import api
from dockerlab.errors import InvalidArgument, Unsupported
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.interrupt import interruptible
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.progress import LazyPull
from dockerlab.notebook.text import Lines, say

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["history", "images", "pull", "read_filters", "rmi"]


def pull(lab: Lab, arguments: Arguments) -> str | None:
    """Pull one image; with -q return its reference in place of showing progress."""
    if arguments.flag("all-tags"):
        raise Unsupported("cannot pull every tag of a repository", "name the tag: %pull name:tag")
    session = lab.connection.session()
    reference, platform = arguments.operands[0], arguments.text("platform")
    with interruptible(f"the pull of {reference} was cancelled, and nothing of it is kept"):
        if arguments.flag("quiet"):
            return api.pull(reference, platform=platform, engine=session).reference
        with LazyPull(has_front_end=lab.has_front_end) as show:
            api.pull(reference, platform=platform, engine=session, on_progress=show.update)
    return None


def images(lab: Lab, arguments: Arguments) -> "Table | Lines":
    """Return the images as a table, or with -q their ids."""
    table = api.images(
        arguments.operands[0] if arguments.operands else "",
        all=arguments.flag("all"),
        digests=arguments.flag("digests"),
        filters=read_filters(arguments.texts("filter")),
        engine=lab.connection.session(),
    )
    return Lines(dict.fromkeys(table["image_id"])) if arguments.flag("quiet") else table


def rmi(lab: Lab, arguments: Arguments) -> None:
    """Remove images one by one; what was done is shown as it is done."""
    api.rmi(
        *arguments.operands,
        force=arguments.flag("force"),
        no_prune=arguments.flag("no-prune"),
        engine=lab.connection.session(),
        on_step=say,
    )


def history(lab: Lab, arguments: Arguments) -> "Table | Lines":
    """Return the steps of an image as a table."""
    table = api.history(arguments.operands[0], engine=lab.connection.session())
    return Lines(table["image_id"]) if arguments.flag("quiet") else table


def read_filters(texts: tuple[str, ...]) -> dict[str, list[str]]:
    """Return ``KEY=VALUE`` filters as the API takes them.

    Raises
    ------
    InvalidArgument
        One has no value.
    """
    filters: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidArgument(
                f'invalid filter: "{text}"', "write KEY=VALUE, such as dangling=true"
            )
        filters.setdefault(key, []).append(value)
    return filters
