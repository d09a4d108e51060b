"""One cached run through the Docker Engine API, with nothing between the clock and the socket.

The order is that of `docker run --rm`: create, attach, wait (registered before the start, so that
the exit cannot be missed), start, read to the end, remove. See Engine API 1.41.
"""

import http.client
import json
import socket
import time
from pathlib import Path

__all__ = ["PHASES", "EngineApi"]

PHASES = ("create", "attach", "start", "output", "wait", "remove")

_PREFIX = "/v1.41"
_TIMEOUT_S = 60
_FRAME_HEADER_BYTES = 8


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))


class EngineApi:
    """A contender that is an engine behind a unix socket.

    Parameters
    ----------
    path : Path
        The socket.
    network : str
        The ``NetworkMode`` of its containers.
    """

    def __init__(self, path: Path, network: str = "none") -> None:
        self._path = path
        self._network = network

    def version(self) -> str:
        """Return what the engine calls itself."""
        with _closing(self._path) as connection:
            answer = json.loads(_ask(connection, "GET", "/version", expect=200))
            return str(answer["Version"])

    def pull(self, reference: str) -> None:
        """Pull an image; raise RuntimeError with the engine's own words."""
        name, _, tag = reference.rpartition(":")
        with _closing(self._path) as connection:
            path = f"/images/create?fromImage={name}&tag={tag}"
            lines = _ask(connection, "POST", path, expect=200).splitlines()
        if errors := [line for line in lines if b'"error"' in line]:
            raise RuntimeError(f"cannot pull {reference}: {errors[0].decode()}")

    def run(self, reference: str) -> tuple[bytes, dict[str, float]]:
        """Run an image once; return its output and the seconds of each of `PHASES`."""
        with _closing(self._path) as control, _closing(self._path) as waiting:
            marks = [time.perf_counter()]
            body = {
                "Image": reference,
                "AttachStdout": True,
                "AttachStderr": True,
                "HostConfig": {"NetworkMode": self._network},
            }
            created = _ask(control, "POST", "/containers/create", body, expect=201)
            name = json.loads(created)["Id"]
            marks.append(time.perf_counter())
            attached, early = _attach(self._path, name)
            with attached:
                waiting.request("POST", f"{_PREFIX}/containers/{name}/wait?condition=next-exit")
                wait = waiting.getresponse()
                marks.append(time.perf_counter())
                _ask(control, "POST", f"/containers/{name}/start", expect=204)
                marks.append(time.perf_counter())
                output = _read_frames(attached, early)
            marks.append(time.perf_counter())
            status = json.loads(wait.read())["StatusCode"]
            marks.append(time.perf_counter())
            _ask(control, "DELETE", f"/containers/{name}", expect=204)
            marks.append(time.perf_counter())
        if status != 0:
            raise RuntimeError(f"{reference} ended with {status}")
        begins = zip(PHASES, marks, marks[1:], strict=False)
        return output, {phase: end - begin for phase, begin, end in begins}


class _closing:  # noqa: N801 - as contextlib.closing, of which it is a short form
    def __init__(self, path: Path) -> None:
        self._connection = _UnixConnection(path)

    def __enter__(self) -> http.client.HTTPConnection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    *,
    expect: int,
) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    connection.request(method, _PREFIX + path, data, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != expect:
        raise RuntimeError(f"{method} {path}: {response.status} {answer.decode()}")
    return answer


def _attach(path: Path, name: str) -> tuple[socket.socket, bytes]:
    """Upgrade a connection to the container's streams; return it and what came with the answer."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_TIMEOUT_S)
    connection.connect(str(path))
    connection.sendall(
        f"POST {_PREFIX}/containers/{name}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\n"
        "Host: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        chunk = connection.recv(65536)
        if not chunk:
            raise RuntimeError(f"attach was refused: {answer.decode(errors='replace')}")
        answer += chunk
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"attach was refused: {answer.decode(errors='replace')}")
    return connection, rest


def _read_frames(connection: socket.socket, stream: bytes) -> bytes:
    """Read to the end and take the frames apart (Engine API, "Stream format")."""
    while chunk := connection.recv(1 << 20):
        stream += chunk
    output = b""
    while stream:
        size = int.from_bytes(stream[4:_FRAME_HEADER_BYTES], "big")
        output += stream[_FRAME_HEADER_BYTES : _FRAME_HEADER_BYTES + size]
        stream = stream[_FRAME_HEADER_BYTES + size :]
    return output
