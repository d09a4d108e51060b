"""What each magic takes: the Docker CLI's flags, as one table.

Nothing here acts. Groups of options that several commands share are tuples, so that a flag means
the same everywhere. Words and letters are those of `docker <command> --help`.
"""

from dockerlab.notebook.morecommands import (
    CP,
    DIFF,
    EXPORT,
    PAUSE,
    RENAME,
    RESTART,
    STATS,
    TOP,
    UNPAUSE,
    UPDATE,
    VOLUME,
    WAIT,
)
from dockerlab.notebook.options import Command, Option
from dockerlab.notebook.runflags import RUN_FLAGS

__all__ = [
    "COMMANDS",
    "COMPARE_RUNS",
    "CP",
    "DIFF",
    "DOCKER",
    "DOCTOR",
    "ENGINE",
    "EXPORT",
    "HISTORY",
    "IMAGES",
    "INSPECT",
    "LOGIN",
    "LOGOUT",
    "LOGS",
    "PAUSE",
    "PS",
    "PULL",
    "RENAME",
    "RESTART",
    "RM",
    "RMI",
    "RUN",
    "STATS",
    "STOP",
    "TOP",
    "UNPAUSE",
    "UPDATE",
    "VOLUME",
    "WAIT",
]

_QUIET = Option(name="quiet", short="q", help="only ids")
_FILTER = Option(
    name="filter", short="f", metavar="KEY=VALUE", is_list=True, help="only what matches"
)
_NO_TRUNC = Option(name="no-trunc", help="accepted; tables keep whole ids and show twelve digits")
_PLATFORM = Option(name="platform", metavar="OS/ARCH", help="platform of the image, if many")

_TERMINAL = "a cell has no terminal: leave -t out, and give input with %%run_container"
_OTHER_ENGINE = "choose the engine with %engine NAME"

RUN = Command(
    name="run_container",
    summary="Run an image in a new container; as %%run_container, with the cell as its input.",
    operands="IMAGE [COMMAND] [ARG...]",
    options=RUN_FLAGS,
    least=1,
    ends_at_operand=True,
    completes="image",
    has_cell=True,
    refused={"-t": _TERMINAL, "--tty": _TERMINAL},
    examples=("%run_container hello-world", "%run_container --rm -m 64m busybox free -m"),
)

PULL = Command(
    name="pull",
    summary="Fetch an image from its registry into the local store.",
    operands="IMAGE",
    options=(
        Option(name="quiet", short="q", help="no progress"),
        _PLATFORM,
        Option(name="all-tags", short="a", help="every tag of the repository"),
    ),
    least=1,
    most=1,
    completes="image",
    examples=("%pull hello-world", "%pull -q debian:stable-slim"),
)

IMAGES = Command(
    name="images",
    summary="List the images in the local store, as a DataFrame.",
    operands="[REPOSITORY[:TAG]]",
    options=(
        Option(name="all", short="a", help="intermediate images too"),
        _QUIET,
        _FILTER,
        Option(name="digests", help="with the column digest"),
        _NO_TRUNC,
    ),
    most=1,
    completes="image",
    examples=("%images", "df = %images --filter dangling=false"),
)

RMI = Command(
    name="rmi",
    summary="Remove images from the local store.",
    operands="IMAGE [IMAGE...]",
    options=(
        Option(name="force", short="f", help="even when stopped containers use it"),
        Option(name="no-prune", help="keep untagged parents"),
    ),
    least=1,
    completes="image",
    examples=("%rmi hello-world", "%rmi -f busybox debian"),
)

HISTORY = Command(
    name="history",
    summary="Show the steps that an image was made in, as a DataFrame.",
    operands="IMAGE",
    options=(_QUIET, _NO_TRUNC),
    least=1,
    most=1,
    completes="image",
    examples=("%history hello-world", "%history -q busybox"),
)

PS = Command(
    name="ps",
    summary="List containers, as a DataFrame: the running ones, or with -a all.",
    options=(
        Option(name="all", short="a", help="those that do not run, too"),
        _QUIET,
        Option(name="last", short="n", metavar="COUNT", help="the last ones created"),
        Option(name="latest", short="l", help="the last one created"),
        Option(name="size", short="s", help="with the bytes each has written"),
        _FILTER,
        _NO_TRUNC,
    ),
    most=0,
    examples=("%ps -a", "df = %ps -a --filter status=exited"),
)

LOGS = Command(
    name="logs",
    summary="Show what a container has written.",
    operands="CONTAINER",
    options=(
        Option(name="follow", short="f", help="go on until it ends, or you interrupt"),
        Option(name="tail", short="n", metavar="LINES", help="only the last lines"),
        Option(name="timestamps", short="t", help="with the time of each line"),
        Option(name="since", metavar="TIME", help="from a time on, or from 10m ago"),
        Option(name="until", metavar="TIME", help="up to a time"),
    ),
    least=1,
    most=1,
    completes="container",
    examples=("%logs happy_hopper", "%logs -f -n 10 web"),
)

STOP = Command(
    name="stop",
    summary="Stop containers: ask their program to end, and end it when it does not.",
    operands="CONTAINER [CONTAINER...]",
    options=(
        Option(name="time", short="t", metavar="SECONDS", help="patience, default 10"),
        Option(name="timeout", metavar="SECONDS", help="the same as --time"),
        Option(name="signal", short="s", metavar="SIGNAL", help="signal that asks"),
    ),
    least=1,
    completes="container",
    examples=("%stop web", "%stop -t 1 web worker"),
)

RM = Command(
    name="rm",
    summary="Remove containers, with what they have written.",
    operands="CONTAINER [CONTAINER...]",
    options=(
        Option(name="force", short="f", help="kill those that run"),
        Option(name="volumes", short="v", help="their anonymous volumes, too"),
    ),
    least=1,
    completes="container",
    examples=("%rm happy_hopper", "%rm -f web worker"),
)

INSPECT = Command(
    name="inspect",
    summary="Show everything that the engine knows of containers, images or volumes.",
    operands="NAME [NAME...]",
    options=(Option(name="type", metavar="KIND", help="container, image or volume; else any"),),
    least=1,
    completes="container",
    examples=("%inspect hello-world", "facts = %inspect --type image hello-world"),
)

ENGINE = Command(
    name="engine",
    summary="Show the engine in use and those there are, or choose one: docker, podman, a socket.",
    operands="[NAME | SOCKET]",
    options=(
        Option(name="root", metavar="DIR", help="our own engine, on this data root"),
        Option(name="socket", metavar="PATH", help="our own engine, at this socket"),
        Option(
            name="mirror",
            metavar="URL",
            is_list=True,
            help="mirror of docker.io, where our own is started by this",
        ),
    ),
    most=1,
    completes="engine",
    examples=("%engine", "%engine docker", "%engine --root ~/lab"),
)

DOCTOR = Command(
    name="doctor",
    summary="Show what this host can do, why not more, and what would lift that, as a DataFrame.",
    options=(Option(name="network", help="try to reach Docker Hub, too"),),
    most=0,
    examples=("%doctor", "df = %doctor --network"),
)

_SERVER = "[SERVER]"
_ASKED = "a cell has no standard input: leave it out, and type the password when you are asked"

LOGIN = Command(
    name="login",
    summary="Log in to a registry, so that pulls from it are yours; without a name, Docker Hub.",
    operands=_SERVER,
    options=(
        Option(name="username", short="u", metavar="USER", help="asked for when not given"),
        Option(name="password", short="p", metavar="PASSWORD", help="better left out: it is asked"),
    ),
    most=1,
    refused={"--password-stdin": _ASKED},
    examples=("%login -u ada registry.example:5000", "%login -u ada -p {token} registry.example"),
)

LOGOUT = Command(
    name="logout",
    summary="Forget the credentials for a registry; without a name, Docker Hub.",
    operands=_SERVER,
    most=1,
    examples=("%logout registry.example:5000", "%logout"),
)

COMPARE_RUNS = Command(
    name="compare_runs",
    summary="Run an image cold and cached, on one engine or several, in turn; return the phases.",
    operands="IMAGE [-- COMMAND [ARG...]]",
    options=(
        Option(name="runs", short="n", metavar="COUNT", help="of each kind, default 10"),
        Option(name="seed", metavar="NUMBER", help="of the random order, default 0"),
        Option(
            name="engines",
            metavar="NAME,...",
            completes="engine",
            help="engines to compare; the first is what the others are compared with",
        ),
        Option(name="registry", metavar="HOST:PORT", help="registry on this machine to pull from"),
        Option(name="temperatures", metavar="NAME,...", help="cold, cached (default: both)"),
        Option(
            name="network",
            metavar="NETWORK",
            help="of the containers; default of several engines: none",
        ),
    ),
    least=1,
    completes="image",
    examples=(
        "df = %compare_runs hello-world -n 10",
        "%compare_runs busybox -n 5 -- sh -c true",
        "%compare_runs hello-world --engines dockerlab,docker --registry 127.0.0.1:5000",
    ),
)

DOCKER = Command(
    name="docker",
    summary="Read a command line of Docker's: %docker run --rm hello-world is %run_container's.",
    operands="COMMAND [ARG...]",
    least=1,
    ends_at_operand=True,
    refused=dict.fromkeys(("-H", "--host", "-c", "--context"), _OTHER_ENGINE),
    examples=("%docker run --rm hello-world", "%docker ps -a", "%docker image ls"),
)

COMMANDS = {
    command.name: command
    for command in (
        RUN,
        PULL,
        IMAGES,
        RMI,
        HISTORY,
        PS,
        LOGS,
        STOP,
        RESTART,
        PAUSE,
        UNPAUSE,
        RENAME,
        WAIT,
        UPDATE,
        RM,
        STATS,
        TOP,
        DIFF,
        CP,
        EXPORT,
        VOLUME,
        INSPECT,
        ENGINE,
        DOCTOR,
        LOGIN,
        LOGOUT,
        COMPARE_RUNS,
        DOCKER,
    )
}
