"""Deleting a data root wholly: what runs in it, and its files, whoever they belong to.

Without root the user alone cannot: files of a container's other users belong to sub-ids, and only
a process in the user namespace may touch them.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from dockerlab.config import Settings
from dockerlab.engine.engine import host_of, make_spawner, mapping_of
from dockerlab.engine.folders import Folders
from dockerlab.engine.recovery import end_stranger
from dockerlab.errors import EngineFailure, NotFound
from dockerlab.image.layer.removal import remove_tree
from dockerlab.runtime.tier import choose_tier

__all__ = ["check_is_data_root", "reset"]

_LOCK = "lock"


def check_is_data_root(settings: Settings) -> None:
    """Refuse a folder that no engine has made: nothing else may be deleted by mistake.

    Raises
    ------
    NotFound
        There is no data root.
    """
    if not Folders(settings.data_root, settings.runtime_dir).database.is_file():
        raise NotFound(
            f'there is no data root at "{settings.data_root}"', "name one with --root DIR"
        )


async def reset(settings: Settings) -> None:
    """End the containers of a data root and delete it; the caller holds its lock.

    Raises
    ------
    EngineFailure
        Something of it cannot be deleted; what is left is a data root that can be reset again.
    """
    # It forks, so before there are threads.
    tier = choose_tier(host_of(settings))
    mapping = mapping_of(tier)
    folders = Folders(settings.data_root, settings.runtime_dir)
    folders.make()
    for monitor_id in folders.monitor_ids():
        await end_stranger(folders, monitor_id)
    if mapping is None:
        await asyncio.to_thread(_remove_all, folders, remove_tree)
    else:
        spawner = make_spawner(settings, tier, mapping)
        try:
            await asyncio.to_thread(_remove_all, folders, spawner.remove_tree)
        finally:
            spawner.close()
    shutil.rmtree(folders.runtime, ignore_errors=True)


def _remove_all(folders: Folders, remove: Callable[[str], None]) -> None:
    # The database last: it is what makes a folder a data root.
    entries = [path for path in folders.root.iterdir() if path.name != _LOCK]
    for path in sorted(entries, key=lambda path: path.name.startswith(folders.database.name)):
        _remove(path, remove)
    (folders.root / _LOCK).unlink(missing_ok=True)
    folders.root.rmdir()


def _remove(path: Path, remove: Callable[[str], None]) -> None:
    try:
        remove(os.fspath(path))
    except OSError as error:
        raise EngineFailure(
            f'cannot remove "{error.filename or path}": {error.strerror}'
        ) from error
