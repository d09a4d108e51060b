"""``python -m dockerlab.daemon``: one engine with its socket, as a process of its own.

With ``--reset`` it deletes the data root instead.

Clients start it and read one line of JSON from `--ready-fd`: ``{"socket": …, "pid": …}`` when it
answers, or ``{"error": …}``.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dockerlab.config import Settings, load_settings
from dockerlab.daemon.lock import hold_lock
from dockerlab.daemon.logfile import log_to_file, log_to_stderr
from dockerlab.daemon.server import serve
from dockerlab.engine.engine import Engine
from dockerlab.engine.reset import check_is_data_root, reset
from dockerlab.errors import DockerlabError

__all__ = ["main"]

_log = logging.getLogger("dockerlab.daemon")


class _Ready:
    """The descriptor on which a client waits; told once."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def tell(self, **facts: object) -> None:
        """Write the line, if it was not written yet, and close."""
        if self._descriptor is None:
            return
        line = json.dumps(facts).encode() + b"\n"
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.write(descriptor, line)
        except OSError as exc:
            _log.info("nobody waits for this daemon any more: %s", exc)
        os.close(descriptor)

    def tell_socket(self, path: Path) -> None:
        """Write where requests are answered, and by whom."""
        self.tell(socket=str(path), pid=os.getpid())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon.

    Returns
    -------
    int
        0 after an orderly end, 1 when it could not begin.
    """
    options = _parse(arguments)
    ready = _Ready(options.ready_fd)
    try:
        settings = load_settings(
            os.environ, root=options.root, socket=options.socket, mirrors=options.mirror
        )
        # The socket of the one who waits must not be inherited by the zygote and its containers.
        if options.ready_fd is not None:
            os.set_inheritable(options.ready_fd, False)  # noqa: FBT003
        if options.reset:
            _reset(settings)
            return 0
        if options.foreground:
            log_to_stderr()
        else:
            log_to_file(settings.log_path)
        asyncio.run(_run(settings, ready))
    except (DockerlabError, OSError) as exc:
        hint = exc.hint if isinstance(exc, DockerlabError) else ""
        ready.tell(error=str(exc), hint=hint)
        verb = "reset" if options.reset else "start"
        if logging.getLogger().handlers:
            _log.error("cannot %s: %s", verb, exc)
        else:
            print(f"cannot {verb}: {exc}", file=sys.stderr)
        return 1
    return 0


def _reset(settings: Settings) -> None:
    check_is_data_root(settings)
    with hold_lock(settings.data_root):
        asyncio.run(reset(settings))


async def _run(settings: Settings, ready: _Ready) -> None:
    asyncio.get_running_loop().set_exception_handler(_log_unhandled)

    await serve(settings, Engine.open, ready.tell_socket)


def _log_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    _log.error(
        "%s", context["message"], exc_info=error if isinstance(error, BaseException) else None
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dockerlab.daemon", description="Run a dockerlab engine."
    )
    parser.add_argument("--root", help="data root: images, containers, the log")
    parser.add_argument("--socket", help="path of the socket to listen on")
    parser.add_argument(
        "--mirror", action="append", default=[], metavar="URL", help="mirror of docker.io"
    )
    parser.add_argument("--ready-fd", type=int, metavar="N", help="write one line of JSON there")
    parser.add_argument(
        "--foreground", action="store_true", help="log to standard error, not to a file"
    )
    parser.add_argument(
        "--reset", action="store_true", help="delete the data root and all in it, then end"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
