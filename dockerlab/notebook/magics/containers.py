"""%run_container, %ps, %logs, %stop and %rm."""

from typing import TYPE_CHECKING

from dockerlab import api
from dockerlab.config import process_environment
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.interrupt import Interrupted, interruptible
from dockerlab.notebook.magics.images import read_filters
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.progress import LazyPull
from dockerlab.notebook.requests import run_request
from dockerlab.notebook.text import CellOutput, Lines, LogText, say
from dockerlab.report.result import RunResult

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = ["logs", "ps", "rm", "run_container", "stop"]


def run_container(lab: Lab, arguments: Arguments, cell: str | None = None) -> RunResult:
    """Run a container; a cell's body is its standard input, as it stands."""
    stdin = None if cell is None else cell.encode()
    request = run_request(arguments, process_environment(), stdin)
    session = lab.connection.session()
    output = CellOutput()
    not_started = f"{request.image} was not started, and nothing is left of it"
    with interruptible(not_started), LazyPull(has_front_end=lab.has_front_end) as show:
        watch = api.Watch(on_output=output.write, on_message=say, on_pull=show.update)
        try:
            return api.perform(request, engine=session, watch=watch)
        except api.RunInterrupted as stopped:
            raise Interrupted(str(stopped)) from None
        finally:
            output.finish()


def ps(lab: Lab, arguments: Arguments) -> "Table | Lines":
    """Return the containers as a table, or with -q their ids."""
    table = api.containers(
        all=arguments.flag("all"),
        last=1 if arguments.flag("latest") else arguments.number("last", -1),
        size=arguments.flag("size"),
        filters=read_filters(arguments.texts("filter")),
        engine=lab.connection.session(),
    )
    return Lines(table["container_id"]) if arguments.flag("quiet") else table


def logs(lab: Lab, arguments: Arguments) -> LogText | None:
    """Return a container's log as text, or with -f show it as it grows."""
    session = lab.connection.session()
    container, options = arguments.operands[0], _log_options(arguments)
    if not arguments.flag("follow"):
        return LogText(api.logs(container, engine=session, **options))
    output = CellOutput()
    try:
        for piece in api.follow_logs(container, engine=session, **options):
            output.write("stdout", piece)
    except KeyboardInterrupt:
        # The way to stop following; the container goes on, and so may the notebook.
        say("")
    finally:
        output.finish()
    return None


def stop(lab: Lab, arguments: Arguments) -> Lines:
    """Stop containers one by one; return their names."""
    patience_s = arguments.number("time", arguments.number("timeout", api.STOP_TIMEOUT_S))
    api.stop(
        *arguments.operands,
        timeout_s=patience_s,
        signal=arguments.text("signal"),
        engine=lab.connection.session(),
    )
    return Lines(arguments.operands)


def rm(lab: Lab, arguments: Arguments) -> Lines:
    """Remove containers one by one; return their names."""
    api.rm(
        *arguments.operands,
        force=arguments.flag("force"),
        volumes=arguments.flag("volumes"),
        engine=lab.connection.session(),
    )
    return Lines(arguments.operands)


def _log_options(arguments: Arguments) -> api.LogOptions:
    tail = arguments.text("tail", "all")
    return api.LogOptions(
        tail=None if tail == "all" else arguments.number("tail", 0),
        since=arguments.text("since"),
        until=arguments.text("until"),
        timestamps=arguments.flag("timestamps"),
    )
