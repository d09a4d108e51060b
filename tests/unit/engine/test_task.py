"""The daemon's end of a monitor's connection."""

import asyncio
import json
from pathlib import Path

from dockerlab.engine.spawner import socketpair
from dockerlab.engine.task import Task


def test_a_task_that_ended_before_anybody_looked_is_not_an_earlier_one(tmp_path: Path) -> None:
    async def scene() -> None:
        ours, theirs = socketpair()
        task = Task(ours, tmp_path / "exit.json")
        theirs.close()
        await task.exited
        assert task.state.cancelled()
        assert task.earlier is None

    asyncio.run(scene())


def test_a_monitor_that_tells_its_state_is_an_earlier_one(tmp_path: Path) -> None:
    state = {"type": "state", "pid": 0, "started_ns": 1, "exit_code": None, "execs": {"a": 7}}

    async def scene() -> None:
        ours, theirs = socketpair()
        task = Task(ours, tmp_path / "exit.json")
        theirs.send(json.dumps(state).encode())
        await task.state
        assert task.earlier == state
        task.close()
        theirs.close()

    asyncio.run(scene())
