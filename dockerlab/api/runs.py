"""Running an image: from a line of words to how its program ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Unpack

from dockerlab.api.lives import rm
from dockerlab.api.opening import Engine, opened
from dockerlab.client.options import RunOptions, command_words, make_request
from dockerlab.client.pull import PullLine
from dockerlab.client.request import RunRequest
from dockerlab.client.run import run as _run
from dockerlab.client.streams import StreamName
from dockerlab.report.result import RunResult

__all__ = ["RunInterrupted", "Watch", "perform", "run"]


class RunInterrupted(KeyboardInterrupt):
    """The user has interrupted a run; its container was stopped and removed."""


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
    with opened(engine) as session:
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
