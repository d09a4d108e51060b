"""The verbs of the magics as functions, for scripts and other programs; no IPython is needed.

Names and words are the magics', the flags of the docker command line are keywords. Each function
takes the engine as a name (`engine="podman"`), opens a connection and closes it; '' is our own,
which is started if need be. A `client.session.Session` in its place is used and left open: so the
magics call this. Lists are pandas DataFrames. Reached as `dockerlab.run`, `dockerlab.pull`, …
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import quote

from dockerlab.bench.comparison import CompareOptions, compare
from dockerlab.client.engines import EngineState, list_engines, look
from dockerlab.client.options import RunOptions, command_words, make_request
from dockerlab.client.pull import PullLine, PullResult
from dockerlab.client.pull import pull as _pull
from dockerlab.client.refusals import check, engine_errors
from dockerlab.client.request import RunRequest
from dockerlab.client.run import run as _run
from dockerlab.client.session import Session
from dockerlab.client.session import connect as _connect
from dockerlab.client.streams import StreamName
from dockerlab.config import process_environment
from dockerlab.errors import ContainerNotFound, InvalidArgument, NotFound
from dockerlab.report.result import RunResult
from dockerlab.units import parse_moment

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = [
    "CompareOptions",
    "LogOptions",
    "RunInterrupted",
    "Watch",
    "compare",
    "containers",
    "engine_states",
    "engines",
    "follow_logs",
    "history",
    "images",
    "inspect",
    "logs",
    "perform",
    "pull",
    "rm",
    "rmi",
    "run",
    "stop",
]

# Docker's patience with a program that was asked to end, in seconds.
STOP_TIMEOUT_S = 10
# What the engine may take beyond that.
STOP_MARGIN_S = 60

Engine = str | Session
Filters = Mapping[str, str | Sequence[str]]


class RunInterrupted(KeyboardInterrupt):
    """The user has interrupted a run; its container was stopped and removed."""


class LogOptions(TypedDict, total=False):
    """Which lines of a log: the last `tail`, from `since` on and up to `until` (``10m`` is ago)."""

    tail: int | None
    since: str
    until: str
    timestamps: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who is told of a run while it goes on: output, docker's sentences, progress of the pull."""

    on_output: Callable[[StreamName, bytes], None] = lambda _stream, _data: None
    on_message: Callable[[str], None] = lambda _text: None
    on_pull: Callable[[PullLine], None] | None = None


def run(
    image: str,
    command: str | Sequence[str] = (),
    *,
    engine: Engine = "",
    watch: Watch | None = None,
    **options: Unpack[RunOptions],
) -> RunResult:
    """Run an image in a new container, and return when its program has ended.

    Parameters
    ----------
    image : str
        Reference or id; pulled if it is not there.
    command : str or sequence of str
        In place of the image's own; a text is split as a shell does, and no shell is run.
    engine : str or Session
        Which engine.
    watch : Watch, optional
        Who is told while it runs.
    **options
        As `client.options.RunOptions`: ``rm=True``, ``memory="64m"``, ``env={"A": "1"}``, …

    Returns
    -------
    RunResult
        ``exit_code``, ``stdout``, ``stderr``, ``timeline``; a program that fails raises nothing.

    Raises
    ------
    StartFailure
        The program could not be started.
    DockerlabError
        Of other kinds, before that.
    RunInterrupted
        It was interrupted; nothing is left of it.
    """
    request = make_request(image, command_words(command), options)
    return perform(request, engine=engine, watch=watch)


def perform(request: RunRequest, *, engine: Engine = "", watch: Watch | None = None) -> RunResult:
    """Run a request that was made elsewhere; the rest is as in `run`."""
    told = watch or Watch()
    with _opened(engine) as session:
        outcome = _run(
            session,
            request,
            on_output=told.on_output,
            on_message=told.on_message,
            on_pull=told.on_pull,
        )
        if outcome.interrupted:
            # Nothing is left behind: what was interrupted is not kept to be looked at.
            if not request.is_auto_removed:
                rm(outcome.container_id, force=True, engine=session)
            raise RunInterrupted(
                f"interrupted: the container of {outcome.image} was stopped and removed"
            )
    return RunResult(outcome)


def pull(
    image: str,
    *,
    platform: str = "",
    engine: Engine = "",
    on_progress: Callable[[PullLine], None] | None = None,
) -> PullResult:
    """Fetch an image from its registry into the engine's store; return its reference and digest."""
    with _opened(engine) as session:
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
    with _opened(engine) as session, engine_errors(session.address):
        found = session.api.images(name=name or None, all=all, filters=_lists(filters))
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
    with _opened(engine) as session:
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
    with _opened(engine) as session, engine_errors(session.address):
        steps: list[dict[str, Any]] = session.api.history(image)
    from dockerlab.report.listings import history_table

    return history_table(steps)


def containers(
    *,
    all: bool = False,  # noqa: A002 - Docker's word
    last: int = -1,
    size: bool = False,
    filters: Filters | None = None,
    engine: Engine = "",
) -> "Table":
    """Return the running containers, or all, or the `last` ones made, as a DataFrame."""
    with _opened(engine) as session, engine_errors(session.address):
        found = session.api.containers(all=all, limit=last, size=size, filters=_lists(filters))
    from dockerlab.report.listings import container_table

    return container_table(found, with_size=size)


def logs(container: str, *, engine: Engine = "", **options: Unpack[LogOptions]) -> str:
    """Return what a container has written."""
    with _opened(engine) as session, engine_errors(session.address):
        data: bytes = session.api.logs(container, **_log_query(options))
    return data.decode(errors="replace")


def follow_logs(
    container: str, *, engine: Engine = "", **options: Unpack[LogOptions]
) -> Iterator[bytes]:
    """Give what a container writes, piece by piece, until it ends or the iterator is closed."""
    with _opened(engine) as session, engine_errors(session.address):
        query = _log_query(options)
        yield from session.api.logs(container, stream=True, follow=True, **query)


def stop(
    *names: str, timeout_s: int = STOP_TIMEOUT_S, signal: str = "", engine: Engine = ""
) -> None:
    """Stop containers one by one: ask their program to end, and end it when it does not."""
    params: dict[str, Any] = {"t": timeout_s} | ({"signal": signal} if signal else {})
    with _opened(engine) as session, engine_errors(session.address):
        api = session.api
        for name in names:
            # docker-py's `stop` knows no signal (Engine API 1.42).
            check(
                api.post(
                    f"{api.base_url}/v{api.api_version}/containers/{quote(name, safe='')}/stop",
                    params=params,
                    timeout=max(0, timeout_s) + STOP_MARGIN_S,
                )
            )


def rm(*names: str, force: bool = False, volumes: bool = False, engine: Engine = "") -> None:
    """Remove containers one by one, with what they have written."""
    with _opened(engine) as session, engine_errors(session.address):
        for name in names:
            session.api.remove_container(name, force=force, v=volumes)


def inspect(name: str, *, kind: str = "", engine: Engine = "") -> dict[str, Any]:
    """Return the engine's JSON of a container or an image.

    Parameters
    ----------
    name : str
        Name, reference or id.
    kind : str
        ``container``, ``image``, or '' for either, containers first.
    engine : str or Session
        Which engine.

    Raises
    ------
    NotFound
        There is none of this name.
    """
    if kind not in ("", "container", "image"):
        raise InvalidArgument(f'invalid value "{kind}" for --type: container or image')
    with _opened(engine) as session:
        if kind != "image":
            try:
                with engine_errors(session.address):
                    return dict(session.api.inspect_container(name))
            except ContainerNotFound:
                if kind == "container":
                    raise
        try:
            with engine_errors(session.address):
                return dict(session.api.inspect_image(name))
        except NotFound as error:
            if kind == "image":
                raise
            raise NotFound(
                f"No such object: {name}", "see %images and %ps -a for what there is"
            ) from error


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


@contextmanager
def _opened(engine: Engine) -> Iterator[Session]:
    if isinstance(engine, Session):
        yield engine
        return
    session = _connect(engine)
    if session.notice:
        warnings.warn(session.notice, stacklevel=4)
    try:
        yield session
    finally:
        session.close()


def _lists(filters: Filters | None) -> dict[str, list[str]]:
    return {
        key: [value] if isinstance(value, str) else list(value)
        for key, value in (filters or {}).items()
    }


def _log_query(options: LogOptions) -> dict[str, Any]:
    tail = options.get("tail")
    query: dict[str, Any] = {
        "timestamps": options.get("timestamps", False),
        "tail": "all" if tail is None else tail,
    }
    now = datetime.now(UTC)
    moments = {"since": options.get("since"), "until": options.get("until")}
    return query | {
        name: parse_moment(text, now).timestamp() for name, text in moments.items() if text
    }
