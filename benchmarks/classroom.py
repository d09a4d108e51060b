"""Time the cold pulls of a classroom, with a hub and without, over one slow line.

``python benchmarks/classroom.py [-n ENGINES] [--megabytes-per-second RATE] [--layers N]``, as root.
All engines pull the same image at the same time; the line to the registry is shared and bounded, as
a school's is, and its log says how often each layer went over it.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
if str(_ROOT) not in sys.path:  # as `python benchmarks/classroom.py` leaves it
    sys.path.insert(0, str(_ROOT))

from tests.support.engine import EngineUnderTest  # noqa: E402 - needs the path
from tests.support.hub import running_hub  # noqa: E402
from tests.support.images import layer  # noqa: E402
from tests.support.registry import push_image, running_registry  # noqa: E402

_LAYER_BYTES = 8 << 20
_PIECE_BYTES = 64 << 10
_IMAGE = "lesson"


class Line:
    """A line of bounded width to a registry, with a log of what was asked for."""

    def __init__(self, address: str, bytes_per_s: float) -> None:
        self.address = address
        self.asked: list[str] = []
        self._rate = bytes_per_s
        self._lock = threading.Lock()
        self._free_s = time.monotonic()

    def pay(self, count: int) -> None:
        """Wait until so many bytes have gone over the line."""
        with self._lock:
            self._free_s = max(self._free_s, time.monotonic()) + count / self._rate
            until = self._free_s
        time.sleep(max(0.0, until - time.monotonic()))

    def times(self) -> Counter[str]:
        """Return how often each blob was asked for."""
        return Counter(path for path in self.asked if "/blobs/" in path)


@contextmanager
def running_line(address: str, bytes_per_s: float) -> Iterator[tuple[Line, str]]:
    """Serve a line to a registry; give it and its address."""
    line = Line(address, bytes_per_s)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            line.asked.append(self.path)
            connection = http.client.HTTPConnection(line.address, timeout=60)
            try:
                kept = {k: v for k, v in self.headers.items() if k in ("Accept", "Range")}
                connection.request("GET", self.path, headers=kept)
                answer = connection.getresponse()
                self.send_response(answer.status)
                for name in ("Content-Type", "Content-Length", "Docker-Content-Digest"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.end_headers()
                while piece := answer.read(_PIECE_BYTES):
                    line.pay(len(piece))
                    self.wfile.write(piece)
            except OSError:  # the client has had enough
                self.close_connection = True
            finally:
                connection.close()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing: the requests are in `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield line, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    """Measure both ways, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10, metavar="ENGINES")
    parser.add_argument("--megabytes-per-second", type=float, default=20.0, metavar="RATE")
    parser.add_argument("--layers", type=int, default=5)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("run it as root: its engines are rootful")
    results = {}
    with tempfile.TemporaryDirectory(prefix="dl-class-") as name, ExitStack() as stack:
        folder = Path(name)
        registry = stack.enter_context(running_registry(folder / "registry"))
        layers = [layer({f"part-{n}": os.urandom(_LAYER_BYTES)}) for n in range(options.layers)]
        push_image(registry.address, f"library/{_IMAGE}", "latest", layers)
        rate = options.megabytes_per_second * 1e6
        with running_line(registry.address, rate) as (line, url):
            results["without"] = _pull_all(options.n, url, line)
        with (
            running_line(registry.address, rate) as (line, url),
            running_hub(folder / "hub", "--mirror-of", url) as hub,
        ):
            results["with a hub"] = _pull_all(options.n, hub.url, line)
    print(
        f"{options.n} engines, {options.layers} layers of {_LAYER_BYTES >> 20} MiB, {rate:.0e} B/s"
    )
    for kind, (took_s, times) in results.items():
        most = max(times.values())
        print(f"{kind:12} {took_s:7.1f} s, each blob at most {most} times over the line")
    print(json.dumps({kind: took_s for kind, (took_s, _) in results.items()}))


def _pull_all(count: int, mirror: str, line: Line) -> tuple[float, Counter[str]]:
    """Pull with so many engines at once; return the seconds until the last is done."""
    with ExitStack() as stack:
        engines = [EngineUnderTest(mirrors=[mirror]) for _ in range(count)]
        for engine in engines:
            stack.callback(engine.close)
            engine.start()
        begin_s = time.monotonic()
        pulls = [
            subprocess.Popen(
                ["docker", "pull", "-q", _IMAGE],
                env=os.environ | {"DOCKER_HOST": engine.address},
                stdout=subprocess.DEVNULL,
            )
            for engine in engines
        ]
        statuses = [pull.wait() for pull in pulls]
        took_s = time.monotonic() - begin_s
    if any(statuses):
        sys.exit(f"a pull failed: {statuses}")
    return took_s, line.times()


if __name__ == "__main__":
    main()
