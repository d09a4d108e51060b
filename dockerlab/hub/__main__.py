"""Run the hub alone: ``python -m dockerlab.hub [--port N]``; ``serve`` is `service`.

With ``--from-host`` it makes one image of this machine's programs and serves only that, until its
standard input ends: the engine pulls it from here. Others on this machine cannot, for they do not
know the random name that it has.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dockerlab.errors import DockerlabError
from dockerlab.hub import service
from dockerlab.hub.builtin import BuiltinRepositories
from dockerlab.hub.fromhost import SYSTEM_FOLDERS, Recipe, python_program
from dockerlab.hub.hostimages import HostRepositories, JoinedRepositories, tools_recipes
from dockerlab.hub.server import Repositories, listen, make_app

_TAG = "latest"


def main() -> None:
    """Serve images on loopback until SIGINT or SIGTERM.

    The address is printed as one line of JSON as soon as connections are accepted; with
    ``--from-host`` also the repository, or the error in its place.
    """
    if sys.argv[1:2] == ["serve"]:
        sys.exit(service.main(sys.argv[2:], os.environ, _hub_root()))
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="dockerlab-hub-") as folder:
        try:
            if arguments.from_host:
                asyncio.run(_serve_image(arguments, Path(folder)))
            else:
                asyncio.run(_serve_all(arguments.port, Path(folder)))
        except DockerlabError as exc:
            _tell({"error": exc.message, "hint": exc.hint})
            sys.exit(1)
        except OSError as exc:
            sys.exit(f"cannot serve on port {arguments.port} of 127.0.0.1: {exc.strerror}")


def _hub_root() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path("/var/lib/dockerlab-hub") if os.geteuid() == 0 else Path(data) / "dockerlab-hub"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dockerlab.hub", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument(
        "--from-host", metavar="TITLE", help="make and serve one image; see the next three"
    )
    parser.add_argument("--add", metavar="PATH", action="append", default=[])
    parser.add_argument("--python", action="store_true")
    parser.add_argument("programs", metavar="PROGRAM", nargs="*")
    return parser


async def _serve_all(port: int, folder: Path) -> None:
    made = HostRepositories(tools_recipes(), folder)
    async with _serving(JoinedRepositories(BuiltinRepositories(), made), port) as (address, stop):
        _tell({"address": address})
        await stop.wait()


async def _serve_image(arguments: argparse.Namespace, folder: Path) -> None:
    search = [path for path in os.environ.get("PATH", "").split(os.pathsep) if path]
    recipe = Recipe(
        programs=(*arguments.programs, *([python_program()] if arguments.python else [])),
        added=tuple(arguments.add),
        search=(*search, *(folder for folder in SYSTEM_FOLDERS if folder not in search)),
    )
    name = secrets.token_hex(16)
    made = HostRepositories({name: {_TAG: recipe}}, folder, title=arguments.from_host)
    image = await made.image(name, _TAG)
    async with _serving(made, arguments.port, has_catalog=False) as (address, stop):
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _note_end, stop)
        _tell({"address": address, "repository": name, "size": image.unpacked_bytes})
        await stop.wait()


@asynccontextmanager
async def _serving(
    repositories: Repositories, port: int, *, has_catalog: bool = True
) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Serve; give the address and what SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server, bound = listen(make_app(repositories, has_catalog=has_catalog), port)
    try:
        yield f"127.0.0.1:{bound}", stop
    finally:
        server.stop()
        await server.close_all_connections()


def _note_end(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


def _tell(facts: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
