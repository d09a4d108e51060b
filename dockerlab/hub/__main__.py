"""Run the hub alone: ``python -m dockerlab.hub [--port N]``."""

import argparse
import asyncio
import json
import signal
import sys

from dockerlab.hub.builtin import BuiltinRepositories
from dockerlab.hub.server import listen, make_app


def main() -> None:
    """Serve the built-in images on loopback until SIGINT or SIGTERM.

    The address is printed as one line of JSON as soon as connections are accepted.
    """
    parser = argparse.ArgumentParser(prog="python -m dockerlab.hub", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments.port))
    except OSError as exc:
        sys.exit(f"cannot serve on port {arguments.port} of 127.0.0.1: {exc.strerror}")


async def _serve(port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server, bound = listen(make_app(BuiltinRepositories()), port)
    sys.stdout.write(json.dumps({"address": f"127.0.0.1:{bound}"}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    server.stop()
    await server.close_all_connections()


if __name__ == "__main__":
    main()
