"""%run_container, %ps, %logs, %stop and %rm."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dockerlab.client.refusals import check, engine_errors
from dockerlab.client.run import RunOutcome, RunRequest, run
from dockerlab.client.session import Session
from dockerlab.config import process_environment
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.interrupt import Interrupted, interruptible
from dockerlab.notebook.magics.images import read_filters
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.progress import LazyPull
from dockerlab.notebook.requests import run_request
from dockerlab.notebook.result import RunResult
from dockerlab.notebook.text import CellOutput, Lines, LogText, say
from dockerlab.units import parse_moment

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["logs", "ps", "rm", "run_container", "stop"]

# Docker's patience with a program that was asked to end, in seconds.
STOP_TIMEOUT_S = 10
# What the engine may take beyond that.
STOP_MARGIN_S = 60


def run_container(lab: Lab, arguments: Arguments, cell: str | None = None) -> RunResult:
    """Run a container; a cell's body is its standard input, as it stands."""
    stdin = None if cell is None else cell.encode()
    request = run_request(arguments, process_environment(), stdin)
    outcome = _run(lab, request)
    if outcome.interrupted:
        raise Interrupted(_after_interrupt(lab, request, outcome))
    return RunResult(outcome)


def ps(lab: Lab, arguments: Arguments) -> "Table | Lines":
    """Return the containers as a table, or with -q their ids."""
    session = lab.connection.session()
    last = 1 if arguments.flag("latest") else arguments.number("last", -1)
    with engine_errors(session.address):
        found = session.api.containers(
            all=arguments.flag("all"),
            limit=last,
            size=arguments.flag("size"),
            filters=read_filters(arguments.texts("filter")),
        )
    if arguments.flag("quiet"):
        return Lines(container["Id"] for container in found)
    from dockerlab.report.listings import container_table

    return container_table(found, with_size=arguments.flag("size"))


def logs(lab: Lab, arguments: Arguments) -> LogText | None:
    """Return a container's log as text, or with -f show it as it grows."""
    session = lab.connection.session()
    if not arguments.flag("follow"):
        with engine_errors(session.address):
            data: bytes = session.api.logs(arguments.operands[0], **_log_query(arguments))
        return LogText(data.decode(errors="replace"))
    output = CellOutput()
    try:
        with engine_errors(session.address):
            query = _log_query(arguments)
            for piece in session.api.logs(arguments.operands[0], stream=True, follow=True, **query):
                output.write("stdout", piece)
    except KeyboardInterrupt:
        # The way to stop following; the container goes on, and so may the notebook.
        say("")
    finally:
        output.finish()
    return None


def stop(lab: Lab, arguments: Arguments) -> Lines:
    """Stop containers one by one; return their names."""
    session = lab.connection.session()
    patience_s = arguments.number("time", arguments.number("timeout", STOP_TIMEOUT_S))
    params: dict[str, Any] = {"t": patience_s}
    if signal := arguments.text("signal"):
        params["signal"] = signal
    for name in arguments.operands:
        with engine_errors(session.address):
            _stop(session, name, params)
    return Lines(arguments.operands)


def rm(lab: Lab, arguments: Arguments) -> Lines:
    """Remove containers one by one; return their names."""
    session = lab.connection.session()
    for name in arguments.operands:
        with engine_errors(session.address):
            session.api.remove_container(
                name, force=arguments.flag("force"), v=arguments.flag("volumes")
            )
    return Lines(arguments.operands)


def _run(lab: Lab, request: RunRequest) -> RunOutcome:
    session = lab.connection.session()
    output = CellOutput()
    stopped = f"{request.image} was not started, and nothing is left of it"
    with interruptible(stopped), LazyPull(has_front_end=lab.has_front_end) as show:
        try:
            return run(
                session, request, on_output=output.write, on_message=say, on_pull=show.update
            )
        finally:
            output.finish()


def _after_interrupt(lab: Lab, request: RunRequest, outcome: RunOutcome) -> str:
    """Leave nothing behind: what was interrupted in a cell is not kept to be looked at."""
    if not request.is_auto_removed:
        session = lab.connection.session()
        with engine_errors(session.address):
            session.api.remove_container(outcome.container_id, force=True)
    return f"interrupted: the container of {outcome.image} was stopped and removed"


def _stop(session: Session, name: str, params: dict[str, Any]) -> None:
    api = session.api
    # docker-py's `stop` knows no signal (Engine API 1.42).
    check(
        api.post(
            f"{api.base_url}/v{api.api_version}/containers/{quote(name, safe='')}/stop",
            params=params,
            timeout=max(0, params["t"]) + STOP_MARGIN_S,
        )
    )


def _log_query(arguments: Arguments) -> dict[str, Any]:
    now = datetime.now(UTC)
    query: dict[str, Any] = {"timestamps": arguments.flag("timestamps")}
    tail = arguments.text("tail", "all")
    query["tail"] = tail if tail == "all" else arguments.number("tail", 0)
    for name in ("since", "until"):
        if text := arguments.text(name):
            query[name] = parse_moment(text, now).timestamp()
    return query
