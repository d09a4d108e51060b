"""%restart, %pause, %unpause, %rename, %wait and %update."""

from typing import cast

from dockerlab import api
from dockerlab.client.options import UpdateOptions
from dockerlab.notebook.declaring import Lab
from dockerlab.notebook.interrupt import interruptible
from dockerlab.notebook.morecommands import UPDATE
from dockerlab.notebook.options import Arguments
from dockerlab.notebook.requests import options_of
from dockerlab.notebook.text import Lines, say

__all__ = ["pause", "rename", "restart", "unpause", "update", "wait"]


def restart(lab: Lab, arguments: Arguments) -> Lines:
    """Restart containers one by one; return their names."""
    patience_s = arguments.number("time", arguments.number("timeout", api.STOP_TIMEOUT_S))
    api.restart(
        *arguments.operands,
        timeout_s=patience_s,
        signal=arguments.text("signal"),
        engine=lab.connection.session(),
    )
    return Lines(arguments.operands)


def pause(lab: Lab, arguments: Arguments) -> Lines:
    """Hold containers one by one; return their names."""
    api.pause(*arguments.operands, engine=lab.connection.session())
    return Lines(arguments.operands)


def unpause(lab: Lab, arguments: Arguments) -> Lines:
    """Let containers go on one by one; return their names."""
    api.unpause(*arguments.operands, engine=lab.connection.session())
    return Lines(arguments.operands)


def rename(lab: Lab, arguments: Arguments) -> None:
    """Rename a container."""
    container, name = arguments.operands
    api.rename(container, name, engine=lab.connection.session())


def wait(lab: Lab, arguments: Arguments) -> int | list[int]:
    """Return the exit code of one container, or a list of them for several."""
    session = lab.connection.session()
    with interruptible("the containers go on"):
        codes = [api.wait(name, engine=session) for name in arguments.operands]
    return codes[0] if len(codes) == 1 else codes


def update(lab: Lab, arguments: Arguments) -> Lines:
    """Change containers one by one; return their names."""
    given = cast("UpdateOptions", options_of(UPDATE, arguments))
    for warning in api.update(*arguments.operands, engine=lab.connection.session(), **given):
        say(f"WARNING: {warning}")
    return Lines(arguments.operands)
