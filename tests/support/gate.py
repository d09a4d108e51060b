"""A registry's front that holds large blobs in the middle, for tests that act during a pull.

Plain HTTP on loopback, one thread a connection. What is held stays held until `release`; how far it
got is an event and no guess about time.
"""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Gate", "running_gate"]

HELD_BYTES = 1 << 20
_PASSED_HEADERS = ("Content-Type", "Docker-Content-Digest", "Content-Range", "Accept-Ranges")


class Gate:
    """The front: `url` is its address, `held` is set when a blob stands in the middle."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.held = threading.Event()
        self._released = threading.Event()
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """The address with its scheme, as mirrors are configured."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def release(self) -> None:
        """Let everything through from now on."""
        self._released.set()

    def wait_for_release(self) -> None:
        """Stand in the middle of a blob."""
        self.held.set()
        self._released.wait()

    def serve(self) -> None:
        """Answer until `close`."""
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        """Stop answering; held connections end."""
        self.release()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def running_gate(upstream: str) -> Iterator[Gate]:
    """Run a gate before the registry at `upstream` (``127.0.0.1:PORT``) until the block ends."""
    gate = Gate(upstream)
    thread = threading.Thread(target=gate.serve)
    thread.start()
    try:
        yield gate
    finally:
        gate.close()
        thread.join()


def _handler(gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing; the list of requests is enough."""

        def do_HEAD(self) -> None:
            self._forward()

        def do_GET(self) -> None:
            self._forward()

        def _forward(self) -> None:
            gate.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}")
            connection = http.client.HTTPConnection(gate.upstream, timeout=60)
            try:
                wanted = {
                    name: value for name in ("Accept", "Range") if (value := self.headers.get(name))
                }
                connection.request(self.command, self.path, headers=wanted)
                self._answer(connection.getresponse())
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client was killed, which is what tests do
            finally:
                connection.close()

        def _answer(self, response: http.client.HTTPResponse) -> None:
            body = response.read()
            self.send_response(response.status)
            for name in _PASSED_HEADERS:
                if value := response.headers.get(name):
                    self.send_header(name, value)
            length = response.headers.get("Content-Length", str(len(body)))
            self.send_header("Content-Length", length)
            self.end_headers()
            if len(body) > HELD_BYTES:
                self.wfile.write(body[:HELD_BYTES])
                self.wfile.flush()
                gate.wait_for_release()
                body = body[HELD_BYTES:]
            self.wfile.write(body)

    return Handler
