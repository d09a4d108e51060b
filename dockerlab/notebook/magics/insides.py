"""%stats, %top, %diff, %cp and %export."""

import shlex
from typing import TYPE_CHECKING

from dockerlab import api
from dockerlab.errors import InvalidArgument
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.interrupt import interruptible
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.text import LogText

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["cp", "diff", "export", "stats", "top"]


def stats(lab: Lab, arguments: Arguments) -> "Table":
    """Return what containers use as a table."""
    session = lab.connection.session()
    return api.stats(*arguments.operands, all=arguments.flag("all"), engine=session)


def top(lab: Lab, arguments: Arguments) -> "Table":
    """Return the processes of a container as a table."""
    container, *options = arguments.operands
    return api.top(container, shlex.join(options), engine=lab.connection.session())


def diff(lab: Lab, arguments: Arguments) -> "Table":
    """Return the changes of a container as a table."""
    return api.diff(arguments.operands[0], engine=lab.connection.session())


def cp(lab: Lab, arguments: Arguments) -> LogText:
    """Copy; return where it is now."""
    session = lab.connection.session()
    with interruptible("the copy is not complete"):
        return LogText(api.cp(*arguments.operands, engine=session))


def export(lab: Lab, arguments: Arguments) -> LogText:
    """Write the archive; return its path."""
    path = arguments.text("output")
    if not path:
        raise InvalidArgument("%export writes into a file", "name it: -o FILE")
    session = lab.connection.session()
    with interruptible("no archive was written"):
        return LogText(api.export(arguments.operands[0], path, engine=session))
