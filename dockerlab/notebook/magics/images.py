"""%pull, %images, %rmi and %history."""

from typing import TYPE_CHECKING, Any

from dockerlab.client.pull import pull as pull_image
from dockerlab.client.refusals import engine_errors
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
            return pull_image(session, reference, platform=platform).reference
        with LazyPull(has_front_end=lab.has_front_end) as show:
            pull_image(session, reference, show.update, platform=platform)
    return None


def images(lab: Lab, arguments: Arguments) -> "Table | Lines":
    """Return the images as a table, or with -q their ids."""
    session = lab.connection.session()
    with engine_errors(session.address):
        found = session.api.images(
            name=arguments.operands[0] if arguments.operands else None,
            all=arguments.flag("all"),
            filters=read_filters(arguments.texts("filter")),
        )
    if arguments.flag("quiet"):
        return Lines(dict.fromkeys(image["Id"] for image in found))
    from dockerlab.report.listings import image_table

    return image_table(found, with_digests=arguments.flag("digests"))


def rmi(lab: Lab, arguments: Arguments) -> None:
    """Remove images one by one; what was done is shown as it is done."""
    session = lab.connection.session()
    for name in arguments.operands:
        with engine_errors(session.address):
            done = session.api.remove_image(
                name, force=arguments.flag("force"), noprune=arguments.flag("no-prune")
            )
        for step in done or ():
            for action, what in step.items():
                say(f"{action}: {what}")


def history(lab: Lab, arguments: Arguments) -> "Table | Lines":
    """Return the steps of an image as a table."""
    session = lab.connection.session()
    with engine_errors(session.address):
        steps: list[dict[str, Any]] = session.api.history(arguments.operands[0])
    if arguments.flag("quiet"):
        return Lines(step["Id"] for step in steps)
    from dockerlab.report.listings import history_table

    return history_table(steps)


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
