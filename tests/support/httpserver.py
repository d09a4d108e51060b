"""An HTTP server for tests: it says what it is told to, be it wrong, and remembers the questions.

For what a proper registry never does: break off, lie about lengths, redirect, be busy.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Asked", "Reply", "ScriptedServer", "running_server"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer.

    `cut_at` closes the connection after so many bytes of the body; `hold` is waited for before the
    first byte of the body that is not sent yet.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_at: int | None = None
    hold: threading.Event | None = None


Respond = Callable[[Asked], Reply]


@dataclass(slots=True)
class ScriptedServer:
    """A running server. `asked` grows with every request, in order."""

    address: str
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address with its scheme."""
        return f"http://{self.address}"

    def paths(self) -> list[str]:
        """Return the paths of all requests so far."""
        return [asked.path for asked in self.asked]


@contextmanager
def running_server(respond: Respond) -> Iterator[ScriptedServer]:
    """Serve on a free loopback port until the block ends."""
    scripted = ScriptedServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            asked = Asked(self.command, self.path, dict(self.headers.items()), body)
            scripted.asked.append(asked)
            self._send(respond(asked))

        # http.server looks for these names.
        do_POST = do_GET  # noqa: N815
        do_HEAD = do_GET  # noqa: N815
        do_PUT = do_GET  # noqa: N815
        do_PATCH = do_GET  # noqa: N815

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            headers = {"Content-Length": str(len(reply.body))} | reply.headers
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            body = reply.body if reply.cut_at is None else reply.body[: reply.cut_at]
            try:
                self.wfile.write(body)
                self.wfile.flush()
                if reply.hold is not None:
                    reply.hold.wait(30)
            except OSError:  # the client has had enough
                self.close_connection = True
            if reply.cut_at is not None:
                self.close_connection = True

        def log_message(self, *arguments: Any) -> None:
            """Say nothing: the requests are in `asked`."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: Any) -> None:
            """Say nothing: clients that hang up are part of the play."""

    server = Server(("127.0.0.1", 0), Handler)
    scripted.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
