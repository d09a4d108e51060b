"""Ending a container: signals, patience, and then SIGKILL."""

import asyncio
import signal as signals

from dockerlab.engine.container import Container
from dockerlab.engine.task import Task
from dockerlab.errors import EngineFailure, InvalidArgument

__all__ = ["DEFAULT_TIMEOUT_S", "parse_signal", "send_signal", "stop"]

DEFAULT_TIMEOUT_S = 10
# SIGKILL cannot be refused; a task that is stuck in the kernel can outlast it.
_KILL_PATIENCE_S = 10


def parse_signal(text: str) -> signals.Signals:
    """Parse ``9``, ``KILL`` or ``SIGKILL``.

    Raises
    ------
    InvalidArgument
        There is no such signal.
    """
    name = text.upper()
    try:
        if name.isdigit():
            return signals.Signals(int(name))
        return signals.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except (KeyError, ValueError) as exc:
        raise InvalidArgument(f"invalid signal: {text}") from exc


def send_signal(task: Task, number: int, *, wakes: bool = True) -> None:
    """Send a signal to the container's PID 1 through its monitor, which knows that it still lives.

    Parameters
    ----------
    wakes : bool
        A paused container runs on, to act on it.

    Raises
    ------
    Conflict
        It has just ended.
    """
    task.send({"type": "kill", "signal": number, "wakes": wakes})


def wakes(container: Container, number: int) -> bool:
    """Tell whether a signal that a user sends lets a paused container run on.

    As in dockerd: SIGKILL and the container's own stop signal; where it has none, every signal.
    """
    own = container.config.stop_signal
    return not own or number in (signals.SIGKILL, parse_signal(own))


async def stop(container: Container, task: Task, *, timeout_s: int | None, signal: str) -> None:
    """Ask the container to end, wait, then kill it; returns when it has ended.

    Parameters
    ----------
    timeout_s : int or None
        Seconds of patience; -1 waits for ever, None takes the container's own or 10.
    signal : str
        '' takes the container's own or SIGTERM.
    """
    number = parse_signal(signal or container.config.stop_signal or "SIGTERM")
    own = container.config.stop_timeout_s
    patience = timeout_s if timeout_s is not None else (DEFAULT_TIMEOUT_S if own is None else own)
    send_signal(task, number)
    try:
        await asyncio.wait_for(
            asyncio.shield(task.exited), None if patience < 0 else max(patience, 0.001)
        )
    except TimeoutError:
        await kill(container, task)


async def kill(container: Container, task: Task) -> None:
    """Send SIGKILL and wait for the end.

    Raises
    ------
    EngineFailure
        It did not end within 10 seconds.
    """
    if not task.exited.done():
        send_signal(task, signals.SIGKILL)
    try:
        await asyncio.wait_for(asyncio.shield(task.exited), _KILL_PATIENCE_S)
    except TimeoutError as exc:
        raise EngineFailure(
            f"container {container.id[:12]} did not end within {_KILL_PATIENCE_S} s of SIGKILL",
            "a task of it may be stuck in the kernel: look at its state with ps",
        ) from exc
