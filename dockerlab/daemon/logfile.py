"""Where the daemon writes what it does."""

import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

__all__ = ["log_to_file", "log_to_stderr"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MAX_BYTES = 5 << 20
_KEPT_FILES = 2


def log_to_stderr() -> None:
    """Write to standard error: for a terminal, or a supervisor that keeps it."""
    _begin(logging.StreamHandler(sys.stderr))


def log_to_file(path: Path) -> None:
    """Write to `path`, of which at most three files of 5 MiB are kept, and leave the terminal.

    Standard output and error go to the same file, so that an abort of the interpreter is seen.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mask = os.umask(0o077)
    try:
        handler = RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=_KEPT_FILES)
    finally:
        os.umask(mask)
    _begin(handler)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if handler.stream is not None:  # it is: nothing asked for a delayed opening
        for descriptor in (1, 2):
            os.dup2(handler.stream.fileno(), descriptor)


def _begin(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
