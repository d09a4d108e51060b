"""Routes of execs: one more process in a running container."""

import logging
from http import HTTPStatus
from typing import Any

from dockerlab.daemon.handler import ApiHandler, message_of
from dockerlab.daemon.hijack import HijackHandler
from dockerlab.daemon.jsonstream import STDERR, frame
from dockerlab.daemon.shapes.creation import ExecBody, ExecStartBody, exec_config
from dockerlab.daemon.shapes.detachkeys import parse_detach_keys
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.exec import Exec
from dockerlab.errors import DockerlabError

__all__ = ["ROUTES"]

_log = logging.getLogger("dockerlab.daemon")


class ExecCreate(ApiHandler):
    """``POST /containers/{id}/exec``."""

    def post(self, name: str) -> None:
        """Create an exec; nothing is executed yet."""
        config = exec_config(self.read_json(ExecBody))
        exec_id = self.engine.execs.create(name, config)
        self.write_json({"Id": exec_id}, HTTPStatus.CREATED)


class ExecStart(HijackHandler):
    """``POST /exec/{id}/start``."""

    async def post(self, exec_id: str) -> None:
        """Start it, detached or joined to this connection."""
        body = self.read_json(ExecStartBody)
        config = self.engine.execs.get(exec_id).config
        if body.detach:
            await self.engine.execs.start(exec_id, None, None)
            self.set_status(HTTPStatus.OK)
            return
        is_multiplexed = not config.tty
        connection, leftover = self.take_over(is_multiplexed=is_multiplexed)
        request = AttachRequest(
            stdin=config.attach_stdin,
            stdout=config.attach_stdout,
            stderr=config.attach_stderr,
            leftover=leftover,
            is_multiplexed=is_multiplexed,
            detach_keys=parse_detach_keys(config.detach_keys),
        )
        await self.until_head_is_read(connection)
        # The status is sent already: an error can only be told in the stream, as dockerd does, and
        # whoever gets it wants to read it even when the engine has closed its end.
        with connection.dup() as spare:
            try:
                await self.engine.execs.start(exec_id, request, connection)
            except DockerlabError as exc:
                _log.info("exec %s: %s", exec_id, exc)
                text = f"{message_of(exc)}\r\n".encode()
                connection.close()
                spare.settimeout(0.0)
                try:
                    spare.sendall(frame(STDERR, text) if is_multiplexed else text)
                except OSError as gone:
                    _log.debug("exec %s: the client is gone: %s", exec_id, gone)


class ExecInspect(ApiHandler):
    """``GET /exec/{id}/json``."""

    def get(self, exec_id: str) -> None:
        """Describe it; this is where clients read its exit status."""
        self.write_json(_inspection(self.engine.execs.get(exec_id)))


class ExecResize(ApiHandler):
    """``POST /exec/{id}/resize``."""

    async def post(self, exec_id: str) -> None:
        """Set the size of its terminal."""
        query = self.query
        await self.engine.execs.resize(exec_id, rows=query.size("h"), columns=query.size("w"))
        self.set_status(HTTPStatus.OK)


def _inspection(record: Exec) -> dict[str, Any]:
    # Engine API, ExecInspectResponse.
    config = record.config
    return {
        "ID": record.id,
        "Running": record.is_running,
        "ExitCode": record.exit_code,
        "ProcessConfig": {
            "tty": config.tty,
            "entrypoint": config.argv[0],
            "arguments": list(config.argv[1:]),
            "privileged": config.privileged,
            "user": config.user,
        },
        "OpenStdin": config.attach_stdin,
        "OpenStderr": config.attach_stderr,
        "OpenStdout": config.attach_stdout,
        "CanRemove": False,
        "ContainerID": record.container_id,
        "DetachKeys": config.detach_keys,
        "Pid": record.pid,
    }


ROUTES = (
    (r"/containers/(?P<name>[^/]+)/exec", ExecCreate),
    (r"/exec/(?P<exec_id>[^/]+)/start", ExecStart),
    (r"/exec/(?P<exec_id>[^/]+)/json", ExecInspect),
    (r"/exec/(?P<exec_id>[^/]+)/resize", ExecResize),
)
