"""What an engine does before it answers: take back what runs, undo what was half done.

Every container is in one of these states, whatever its record says, for the daemon may have been
killed between a step and its note:

=================  ==================  =================================================
monitor answers    exit record         then
=================  ==================  =================================================
yes, not ended     (of an older run)   it runs: adopt it
yes, ended         coming              the monitor is at its last steps: adopt, it will tell
no                 there               it ended while no daemon ran: note that
no                 missing             never started: leave; was running: it ended unseen (255)
=================  ==================  =================================================

What was started before the machine was, has ended: neither its process id nor a socket that it left
is looked at. Then the restart policies have their say, on what ended meanwhile as on what ended
before.
"""

import asyncio
import shutil
import socket
import time
from datetime import UTC, datetime

import msgspec

from dockerlab.engine.cgroup import is_frozen
from dockerlab.engine.container import Container
from dockerlab.engine.folders import ContainerFolder, Folders
from dockerlab.engine.images import Images
from dockerlab.engine.lifeobserver import this_boot
from dockerlab.engine.lives import Lives
from dockerlab.engine.restart import starts_with_engine
from dockerlab.engine.roster import Roster
from dockerlab.engine.spawner import Spawner
from dockerlab.engine.task import ExitRecord, Task, exit_from_file

__all__ = ["end_stranger", "recover"]

_UNSEEN_EXIT = 255
_ANSWER_TIMEOUT_S = 5.0


async def recover(
    roster: Roster, lives: Lives, images: Images, folders: Folders, spawner: Spawner
) -> None:
    """Bring records, folders and monitors into agreement."""
    for container in roster.all():
        folder = folders.container(container.id)
        if not folder.path.is_dir():
            roster.forget(container)  # Its removal had begun: the folder goes first.
            continue
        await _settle(container, folder, roster, lives)
    known = {container.id for container in roster.all()}
    for orphan in folders.container_ids() - known:
        folders.discard(orphan)
    for path in folders.trash():
        spawner.submit("remove_tree", {"root": str(path.parent), "path": str(path)})
    for monitor_id in folders.monitor_ids() - {container_id[:12] for container_id in known}:
        await end_stranger(folders, monitor_id)
    await images.collect_everything()


async def _settle(
    container: Container, folder: ContainerFolder, roster: Roster, lives: Lives
) -> None:
    is_of_this_boot = container.state.boot_id in ("", this_boot())
    task = await _connect(folder) if is_of_this_boot else None
    if task is not None:
        state = task.state.result()
        running = msgspec.structs.replace(
            container.state,
            status="paused" if is_frozen(folder) else "running",
            oom_killed=container.state.oom_killed or bool(state.get("oom_killed")),
            pid=int(state["pid"]),
            started_at=datetime.fromtimestamp(int(state["started_ns"]) / 1e9, UTC),
            boot_id=this_boot(),
        )
        roster.save(msgspec.structs.replace(container, state=running))
        lives.adopt(container.id, task)
        return
    shutil.rmtree(folder.monitor_dir, ignore_errors=True)
    if container.state.is_running:
        lives.clear_cgroup(container)
    record = exit_from_file(folder.exit_file)
    if record is not None and _is_news(container, record):
        await lives.ended(container.id, record)
    elif container.state.status == "restarting":
        lives.restart_later(container.id, 0.0)
    elif container.state.is_running:
        await lives.ended(container.id, record or _unseen())
    elif container.host.auto_remove and container.state.status == "exited":
        await lives.remove(container.id, with_volumes=True)
    elif starts_with_engine(container):
        lives.start_with_engine(container.id)


def _is_news(container: Container, record: ExitRecord) -> bool:
    """Tell whether the record is of a run whose end was not noted yet."""
    return container.state.finished_at.timestamp() < record.finished_ns / 1e9 - 1e-3


async def _connect(folder: ContainerFolder) -> Task | None:
    """Return the task of a monitor that answers, or None."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(str(folder.monitor_socket))
    except OSError:
        connection.close()
        return None
    task = Task(connection, folder.exit_file)
    task.send({"type": "state"})
    await asyncio.wait({task.state}, timeout=_ANSWER_TIMEOUT_S)
    if not task.state.done() or task.state.cancelled():
        task.close()
        return None
    return task


async def end_stranger(folders: Folders, monitor_id: str) -> None:
    """End a container whose record is gone, so that nothing runs which nobody can see."""
    folder = ContainerFolder(folders.containers / monitor_id, folders.runtime / monitor_id)
    task = await _connect(folder)
    if task is not None:
        task.send({"type": "kill", "signal": 9})
        await asyncio.wait({task.exited}, timeout=_ANSWER_TIMEOUT_S)
        task.close()
    shutil.rmtree(folder.monitor_dir, ignore_errors=True)


def _unseen() -> ExitRecord:
    return ExitRecord(
        exit_code=_UNSEEN_EXIT,
        oom_killed=False,
        finished_ns=time.time_ns(),
        monotonic_s=time.monotonic(),
    )
