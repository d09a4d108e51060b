"""Joining clients to a container's streams: now, or kept until its start.

The bytes themselves never pass through the daemon: the connection goes to the monitor, which frames
and copies (docs/architecture.md). So an attached client survives the death of the daemon.
"""

import asyncio
import socket
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.container import ContainerId
from dockerlab.engine.log import LogQuery
from dockerlab.engine.logs import LogSource, read_log
from dockerlab.engine.task import Task

__all__ = ["Attachments", "describe", "frame"]

_STREAM_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}


def frame(stream: str, payload: bytes) -> bytes:
    """Return the payload behind Docker's 8-byte header.

    Engine API, /containers/{id}/attach, "Stream format".
    """
    return bytes([_STREAM_NUMBERS[stream], 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def describe(request: AttachRequest) -> dict[str, Any]:
    """Return the request as the monitor's protocol has it."""
    return {
        "stdin": request.stdin,
        "stdout": request.stdout,
        "stderr": request.stderr,
        "is_multiplexed": request.is_multiplexed,
        # JSON has no bytes; latin-1 maps each byte to the character of the same number.
        "leftover": request.leftover.decode("latin-1"),
        "detach_keys": _detach_keys(request).decode("latin-1"),
    }


def _detach_keys(request: AttachRequest) -> bytes:
    # Without a terminal what a client gives is data, not keys.
    is_typed = request.stdin and not request.is_multiplexed
    return request.detach_keys if is_typed else b""


@dataclass(slots=True)
class Attachments:
    """Connections that wait for the start of their container."""

    _waiting: dict[ContainerId, list[tuple[AttachRequest, socket.socket]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def keep(
        self, container_id: ContainerId, request: AttachRequest, connection: socket.socket
    ) -> None:
        """Hold the connection until the container starts."""
        self._waiting[container_id].append((request, connection))

    def take(self, container_id: ContainerId) -> list[tuple[AttachRequest, socket.socket]]:
        """Hand out what waits for a container; the caller closes the sockets."""
        return self._waiting.pop(container_id, [])

    def drop(self, container_id: ContainerId) -> None:
        """Close what waits for a container that will not start."""
        for _, connection in self.take(container_id):
            connection.close()


async def replay(source: LogSource, request: AttachRequest, connection: socket.socket) -> None:
    """Write what the log has so far to the connection, framed as the live bytes will be."""
    loop = asyncio.get_running_loop()
    query = LogQuery(stdout=request.stdout, stderr=request.stderr)
    async for record in read_log(source, query):
        line = frame(record.stream, record.line) if request.is_multiplexed else record.line
        await loop.sock_sendall(connection, line)


def join(task: Task, request: AttachRequest, connection: socket.socket) -> None:
    """Give the connection to the monitor of a running container.

    Raises
    ------
    Conflict
        It has just ended.
    """
    task.send({"type": "attach", **describe(request)}, [connection.fileno()])
