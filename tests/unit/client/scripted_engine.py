"""An engine that answers as it is told, over a real unix socket: for what a real one seldom says.

Its one container behaves as `Script` says; every request is kept in `ScriptedEngine.requests`.
"""

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CONTAINER_ID = "c" * 64


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@dataclass
class Script:
    """What the engine says, and what its container does."""

    server: str = "Docker/20.10.24 (linux)"
    api_version: str = "1.41"
    has_image: bool = True
    pull_lines: list[dict[str, Any]] = field(default_factory=list)
    pull_status: int = 200
    start_status: int = 204
    start_message: str = ""
    recorded_exit_code: int = 0
    output: bytes = frame(1, b"hello\n")
    reads_input: bool = False
    exit_code: int = 0
    runs_until_killed: bool = False
    ends_on: str = "SIGINT"
    warnings: list[str] = field(default_factory=list)
    status: dict[str, Any] | None = None
    phases: list[dict[str, Any]] = field(default_factory=list)


class ScriptedEngine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, script: Script) -> None:
        super().__init__(str(path), _Handler)
        self.path = path
        self.script = script
        self.requests: list[str] = []
        self.created: list[dict[str, Any]] = []
        self.received = b""
        self.started = threading.Event()
        self.ended = threading.Event()
        self.attached: socket.socket | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""

    @property
    def address(self) -> str:
        return f"unix://{self.path}"

    def live(self) -> None:
        """The container's life, from its start to its exit."""
        attached = self.attached
        if attached is not None:
            if self.script.reads_input:
                while data := attached.recv(65536):
                    self.received += data
            attached.sendall(self.script.output)
        if self.script.runs_until_killed:
            self.ended.wait()
        if attached is not None:
            attached.shutdown(socket.SHUT_RDWR)
        self.ended.set()


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedEngine  # type: ignore[mutable-override]  # typeshed names the base only
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""

    def do_GET(self) -> None:
        path = self._note()
        script = self.server.script
        if path == "/_ping":
            self._answer(200, None)
        elif path == "/dockerlab/status" and script.status is not None:
            self._answer(200, script.status)
        elif path.startswith("/dockerlab/") and path.endswith("/phases"):
            self._answer(200, script.phases)
        elif path.endswith("/json"):
            state = {"ExitCode": script.recorded_exit_code}
            self._answer(200, {"Name": "/merry_name", "State": state})
        else:
            self._answer(404, {"message": "page not found"})

    def do_DELETE(self) -> None:
        self._note()
        self._answer(204, None)

    def do_POST(self) -> None:
        path = self._note()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        last = path.rpartition("/")[2]
        handlers = {
            "create": self._create if "/containers/" in path else self._pull,
            "attach": self._attach,
            "wait": self._wait,
            "start": self._start,
            "kill": self._kill,
        }
        handlers[last](body)

    def _note(self) -> str:
        url = urlsplit(self.path)
        path = "/" + url.path.lstrip("/").partition("/")[2] if url.path[1:2] == "v" else url.path
        self.server.requests.append(
            f"{self.command} {path}" + (f"?{url.query}" if url.query else "")
        )
        return path

    def _answer(self, status: int, body: object) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Api-Version", self.server.script.api_version)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def version_string(self) -> str:
        return self.server.script.server

    def _create(self, body: bytes) -> None:
        asked = json.loads(body)
        self.server.created.append(asked)
        if not self.server.script.has_image:
            self._answer(404, {"message": f"No such image: {asked['Image']}:latest"})
            return
        self._answer(201, {"Id": CONTAINER_ID, "Warnings": self.server.script.warnings})

    def _pull(self, _body: bytes) -> None:
        script = self.server.script
        if script.pull_status != 200:
            self._answer(script.pull_status, {"message": "pull access denied for it"})
            return
        self._begin_chunks()
        for line in script.pull_lines:
            self._chunk(json.dumps(line).encode() + b"\r\n")
        script.has_image = True
        self.wfile.write(b"0\r\n\r\n")

    def _attach(self, _body: bytes) -> None:
        self.server.attached = self.connection.dup()
        self.wfile.write(
            b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        self.server.ended.wait()
        self.close_connection = True

    def _wait(self, _body: bytes) -> None:
        self._begin_chunks()
        self.server.ended.wait()
        self._chunk(json.dumps({"StatusCode": self.server.script.exit_code}).encode())
        self.wfile.write(b"0\r\n\r\n")

    def _start(self, _body: bytes) -> None:
        script = self.server.script
        if script.start_status >= 400:
            self._answer(script.start_status, {"message": script.start_message})
            self.server.ended.set()
            return
        self._answer(204, None)
        threading.Thread(target=self.server.live, daemon=True).start()

    def _kill(self, _body: bytes) -> None:
        script = self.server.script
        if f"signal={script.ends_on}" in self.path:
            self.server.ended.set()
        self._answer(204, None)

    def _begin_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


@contextmanager
def scripted_engine(folder: Path, script: Script | None = None) -> Iterator[ScriptedEngine]:
    with ScriptedEngine(folder / "e.sock", script or Script()) as engine:
        thread = threading.Thread(target=engine.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield engine
        finally:
            engine.ended.set()
            engine.shutdown()
            thread.join()
            if engine.attached is not None:
                engine.attached.close()
