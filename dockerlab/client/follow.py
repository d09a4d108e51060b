"""Read a log file, and go on reading as it grows: `tail -f` for `dockerlab engine logs -f`."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dockerlab.errors import NotFound

__all__ = ["follow"]

CHUNK_BYTES = 65536

# A file gives no event that a poll could wait for; twice a second is what a reader notices.
PAUSE_S = 0.5


def follow(
    path: Path, *, is_endless: bool = False, pause: Callable[[float], object] = time.sleep
) -> Iterator[bytes]:
    """Yield the bytes of a file.

    Parameters
    ----------
    path : Path
        The file.
    is_endless : bool
        At its end, wait for more; a file that has been cut is read from its beginning.
    pause : callable
        Is given the seconds to wait at the end of the file.

    Raises
    ------
    NotFound
        There is no such file, so no engine with this data root has been started yet.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as exc:
        raise NotFound(
            f'no log at "{path}"', hint="start the engine with `dockerlab engine start`"
        ) from exc
    with file:
        while True:
            data = file.read(CHUNK_BYTES)
            if data:
                yield data
            elif not is_endless:
                return
            else:
                pause(PAUSE_S)
                if path.stat().st_size < file.tell():
                    file.seek(0)
