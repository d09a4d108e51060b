"""%volume create, ls, inspect, rm and prune."""

from typing import TYPE_CHECKING

from dockerlab import api
from dockerlab.client.grammar import pairs
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.facts import Facts
from dockerlab.notebook.magics.images import read_filters
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.text import Lines, say
from dockerlab.units import human_size

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["volume_create", "volume_inspect", "volume_ls", "volume_prune", "volume_rm"]


def volume_create(lab: Lab, arguments: Arguments) -> str:
    """Make a volume; return its name."""
    return api.volume_create(
        arguments.operands[0] if arguments.operands else "",
        driver=arguments.text("driver"),
        options=pairs(arguments.texts("opt")),
        labels=pairs(arguments.texts("label")),
        engine=lab.connection.session(),
    )


def volume_ls(lab: Lab, arguments: Arguments) -> "Table | Lines":
    """Return the volumes as a table, or with -q their names."""
    table = api.volumes(
        size=arguments.flag("size"),
        filters=read_filters(arguments.texts("filter")),
        engine=lab.connection.session(),
    )
    return Lines(table["name"]) if arguments.flag("quiet") else table


def volume_inspect(lab: Lab, arguments: Arguments) -> Facts | list[Facts]:
    """Return the engine's JSON of one volume, or a list of them for several."""
    session = lab.connection.session()
    found = [Facts(api.volume_inspect(name, engine=session)) for name in arguments.operands]
    return found[0] if len(found) == 1 else found


def volume_rm(lab: Lab, arguments: Arguments) -> Lines:
    """Remove volumes one by one; return their names."""
    api.volume_rm(
        *arguments.operands, force=arguments.flag("force"), engine=lab.connection.session()
    )
    return Lines(arguments.operands)


def volume_prune(lab: Lab, arguments: Arguments) -> Lines:
    """Remove the volumes that nobody uses; return their names."""
    names, freed_bytes = api.volume_prune(
        all=arguments.flag("all"),
        filters=read_filters(arguments.texts("filter")),
        engine=lab.connection.session(),
    )
    say(f"{len(names)} volumes removed, {human_size(freed_bytes)} freed")
    return Lines(names)
