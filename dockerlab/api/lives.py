"""The lives of containers: listed, held, started again, ended, removed."""

from typing import TYPE_CHECKING, Any, Unpack
from urllib.parse import quote

from dockerlab.api.opening import Engine, Filters, lists, opened
from dockerlab.client.options import UpdateOptions, update_body
from dockerlab.client.refusals import check, engine_errors
from dockerlab.client.session import Session

if TYPE_CHECKING:
    from dockerlab.report.tables import Table

__all__ = [
    "STOP_TIMEOUT_S",
    "containers",
    "pause",
    "rename",
    "restart",
    "rm",
    "stop",
    "unpause",
    "update",
    "wait",
]

# Docker's patience with a program that was asked to end, in seconds.
STOP_TIMEOUT_S = 10
# What the engine may take beyond that.
STOP_MARGIN_S = 60


def containers(
    *,
    all: bool = False,  # noqa: A002 - Docker's word
    last: int = -1,
    size: bool = False,
    filters: Filters | None = None,
    engine: Engine = "",
) -> "Table":
    """Return the running containers, or all, or the `last` ones made, as a DataFrame."""
    with opened(engine) as session, engine_errors(session.address):
        found = session.api.containers(all=all, limit=last, size=size, filters=lists(filters))
    from dockerlab.report.listings import container_table

    return container_table(found, with_size=size)


def pause(*names: str, engine: Engine = "") -> None:
    """Hold containers one by one: all of their processes stop where they are."""
    with opened(engine) as session, engine_errors(session.address):
        for name in names:
            session.api.pause(name)


def unpause(*names: str, engine: Engine = "") -> None:
    """Let paused containers go on, one by one."""
    with opened(engine) as session, engine_errors(session.address):
        for name in names:
            session.api.unpause(name)


def stop(
    *names: str, timeout_s: int = STOP_TIMEOUT_S, signal: str = "", engine: Engine = ""
) -> None:
    """Stop containers one by one: ask their program to end, and end it when it does not."""
    with opened(engine) as session:
        for name in names:
            _end(session, name, "stop", timeout_s, signal)


def restart(
    *names: str, timeout_s: int = STOP_TIMEOUT_S, signal: str = "", engine: Engine = ""
) -> None:
    """Stop containers one by one, as `stop` does, and start them again."""
    with opened(engine) as session:
        for name in names:
            _end(session, name, "restart", timeout_s, signal)


def rename(container: str, name: str, *, engine: Engine = "") -> None:
    """Give a container another name."""
    with opened(engine) as session, engine_errors(session.address):
        session.api.rename(container, name)


def wait(container: str, *, engine: Engine = "") -> int:
    """Return when a container does not run any more, with its exit code."""
    with opened(engine) as session, engine_errors(session.address):
        return int(session.api.wait(container)["StatusCode"])


def update(*names: str, engine: Engine = "", **options: Unpack[UpdateOptions]) -> list[str]:
    """Change limits and restart policies of containers, at once where they run.

    Parameters
    ----------
    *names : str
        Which.
    engine : str or Session
        Which engine.
    **options
        As `client.options.UpdateOptions`: ``memory="128m"``, ``restart="always"``, …

    Returns
    -------
    list of str
        What the engine warns of.

    Raises
    ------
    InvalidArgument
        A value cannot be right, or there is none.
    Unsupported
        This host cannot keep the limit.
    """
    body = update_body(options)
    warnings: list[str] = []
    with opened(engine) as session, engine_errors(session.address):
        for name in names:
            # docker-py's `update_container` knows neither CPUs nor a limit of processes.
            response = session.api.post(_url(session, name, "update"), json=body)
            check(response)
            warnings += response.json().get("Warnings") or []
    return warnings


def rm(*names: str, force: bool = False, volumes: bool = False, engine: Engine = "") -> None:
    """Remove containers one by one, with what they have written."""
    with opened(engine) as session, engine_errors(session.address):
        for name in names:
            session.api.remove_container(name, force=force, v=volumes)


def _end(session: Session, name: str, verb: str, timeout_s: int, signal: str) -> None:
    params: dict[str, Any] = {"t": timeout_s} | ({"signal": signal} if signal else {})
    with engine_errors(session.address):
        # docker-py's methods know no signal (Engine API 1.42).
        check(
            session.api.post(
                _url(session, name, verb),
                params=params,
                timeout=max(0, timeout_s) + STOP_MARGIN_S,
            )
        )


def _url(session: Session, name: str, verb: str) -> str:
    api = session.api
    return f"{api.base_url}/v{api.api_version}/containers/{quote(name, safe='')}/{verb}"
