"""Ending a container: signals, patience, and then SIGKILL."""

import asyncio
import signal as signals

from dockerlab.engine.container import Container
from dockerlab.engine.signals import parse_signal
from dockerlab.engine.task import Task
from dockerlab.errors import EngineFailure, InvalidArgument

__all__ = ["DEFAULT_TIMEOUT_S", "is_meant_to_end", "kill", "send_signal", "stop", "stop_signal"]

DEFAULT_TIMEOUT_S = 10
# SIGKILL cannot be refused; a task that is stuck in the kernel can outlast it.
_KILL_PATIENCE_S = 10


def stop_signal(container: Container) -> int:
    """Return the signal that asks the container to end: its own, or SIGTERM."""
    try:
        return parse_signal(container.config.stop_signal or "SIGTERM")
    except InvalidArgument:
        return signals.SIGTERM  # An image may say anything.


def is_meant_to_end(container: Container, number: int) -> bool:
    """Tell whether a user who sends this signal wants the container to end.

    Then its restart policy leaves it ended, and it is woken when it is paused.

    As in dockerd: SIGKILL and the container's own stop signal; where it has none, every signal.
    """
    own = container.config.stop_signal
    return not own or number in (signals.SIGKILL, stop_signal(container))


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


async def stop(container: Container, task: Task, *, timeout_s: int | None, signal: int) -> None:
    """Ask the container to end, wait, then kill it; returns when it has ended.

    Parameters
    ----------
    timeout_s : int or None
        Seconds of patience; -1 waits for ever, None takes the container's own or 10.
    """
    own = container.config.stop_timeout_s
    patience = timeout_s if timeout_s is not None else (DEFAULT_TIMEOUT_S if own is None else own)
    send_signal(task, signal)
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
