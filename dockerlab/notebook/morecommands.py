"""What the magics take that hold, change and look into containers, and those of volumes.

A part of the table in `commands`, under the same rules.
"""

from dockerlab.notebook.options import Command, Option
from dockerlab.notebook.runflags import UPDATE_FLAGS

__all__ = [
    "CP",
    "DIFF",
    "EXPORT",
    "PAUSE",
    "RENAME",
    "RESTART",
    "STATS",
    "TOP",
    "UNPAUSE",
    "UPDATE",
    "VOLUME",
    "WAIT",
]

_CONTAINERS = "CONTAINER [CONTAINER...]"
_NO_TRUNC = Option(name="no-trunc", help="accepted; tables keep whole ids and show twelve digits")
_FILTER = Option(
    name="filter", short="f", metavar="KEY=VALUE", is_list=True, help="only what matches"
)
_NO_STREAM = "a cell is shown once: run it again for the next sample"

PAUSE = Command(
    name="pause",
    summary="Hold containers: all their processes stop where they are.",
    operands=_CONTAINERS,
    least=1,
    completes="container",
    examples=("%pause web", "%pause web worker"),
)

UNPAUSE = Command(
    name="unpause",
    summary="Let paused containers go on.",
    operands=_CONTAINERS,
    least=1,
    completes="container",
    examples=("%unpause web",),
)

RESTART = Command(
    name="restart",
    summary="Stop containers and start them again.",
    operands=_CONTAINERS,
    options=(
        Option(name="time", short="t", metavar="SECONDS", help="patience, default 10"),
        Option(name="timeout", metavar="SECONDS", help="the same as --time"),
        Option(name="signal", short="s", metavar="SIGNAL", help="signal that asks"),
    ),
    least=1,
    completes="container",
    examples=("%restart web", "%restart -t 1 web worker"),
)

RENAME = Command(
    name="rename",
    summary="Give a container another name.",
    operands="CONTAINER NAME",
    least=2,
    most=2,
    completes="container",
    examples=("%rename happy_hopper web",),
)

WAIT = Command(
    name="wait",
    summary="Wait until containers do not run any more; return their exit codes.",
    operands=_CONTAINERS,
    least=1,
    completes="container",
    examples=("%wait web", "codes = %wait web worker"),
)

UPDATE = Command(
    name="update",
    summary="Change limits and restart policies of containers, at once where they run.",
    operands=_CONTAINERS,
    options=UPDATE_FLAGS,
    least=1,
    completes="container",
    examples=("%update -m 128m web", "%update --restart unless-stopped --cpus 0.5 web"),
)

STATS = Command(
    name="stats",
    summary="Show what containers use now, as a DataFrame; without names, those that run.",
    operands="[CONTAINER...]",
    options=(
        Option(name="all", short="a", help="those that do not run, too"),
        Option(name="no-stream", help=f"accepted; {_NO_STREAM}"),
        _NO_TRUNC,
    ),
    completes="container",
    examples=("%stats", "df = %stats web worker"),
)

TOP = Command(
    name="top",
    summary="Show the processes of a container, as a DataFrame.",
    operands="CONTAINER [PS-OPTION...]",
    least=1,
    ends_at_operand=True,
    completes="container",
    examples=("%top web", "%top web -eo pid,comm"),
)

DIFF = Command(
    name="diff",
    summary="Show what a container has changed of its image's files, as a DataFrame.",
    operands="CONTAINER",
    least=1,
    most=1,
    completes="container",
    examples=("%diff web",),
)

CP = Command(
    name="cp",
    summary="Copy files out of a container, or into one; the other place is a path here.",
    operands="FROM TO",
    least=2,
    most=2,
    completes="place",
    examples=("%cp web:/etc/hosts .", "%cp page.html web:/srv/"),
)

EXPORT = Command(
    name="export",
    summary="Write all files of a container into a tar archive.",
    operands="CONTAINER",
    options=(Option(name="output", short="o", metavar="FILE", help="the archive; it is needed"),),
    least=1,
    most=1,
    completes="container",
    examples=("%export -o web.tar web",),
)

_VOLUME_CREATE = Command(
    name="volume create",
    summary="Make a volume; return its name.",
    operands="[VOLUME]",
    options=(
        Option(name="driver", short="d", metavar="NAME", help="default local"),
        Option(name="opt", short="o", metavar="KEY=VALUE", is_list=True, help="of the driver"),
        Option(name="label", metavar="KEY=VALUE", is_list=True, help="a label"),
    ),
    most=1,
    examples=("%volume create data", "name = %volume create --label of=lab"),
)

_VOLUME_LS = Command(
    name="volume ls",
    aliases=("list",),
    summary="List volumes, as a DataFrame.",
    options=(
        Option(name="quiet", short="q", help="only names"),
        Option(name="size", short="s", help="with the bytes each holds and who uses it"),
        _FILTER,
    ),
    most=0,
    examples=("%volume ls", "df = %volume ls -s"),
)

_VOLUME_INSPECT = Command(
    name="volume inspect",
    summary="Show everything that the engine knows of volumes.",
    operands="VOLUME [VOLUME...]",
    least=1,
    completes="volume",
    examples=("%volume inspect data",),
)

_VOLUME_RM = Command(
    name="volume rm",
    aliases=("remove",),
    summary="Remove volumes, with what they hold.",
    operands="VOLUME [VOLUME...]",
    options=(Option(name="force", short="f", help="also where there is none of the name"),),
    least=1,
    completes="volume",
    examples=("%volume rm data",),
)

_VOLUME_PRUNE = Command(
    name="volume prune",
    summary="Remove the anonymous volumes that no container uses; with -a all that are unused.",
    options=(
        Option(name="all", short="a", help="those with a name, too"),
        Option(name="force", short="f", help="accepted; a cell asks nothing"),
        Option(name="filter", metavar="KEY=VALUE", is_list=True, help="only what matches"),
    ),
    most=0,
    examples=("%volume prune", "%volume prune -a --filter label=of=lab"),
)

VOLUME = Command(
    name="volume",
    summary="Make, list, inspect and remove volumes.",
    operands="COMMAND",
    least=1,
    ends_at_operand=True,
    parts=(_VOLUME_CREATE, _VOLUME_LS, _VOLUME_INSPECT, _VOLUME_RM, _VOLUME_PRUNE),
    examples=("%volume ls", "%volume create data"),
)
