"""Routes of containers that turn raw or go on for long: attach, logs and wait."""

from collections.abc import Awaitable
from typing import get_args
from urllib.parse import quote_plus

from dockerlab.daemon.backend import WaitCondition
from dockerlab.daemon.handler import ApiHandler, message_of
from dockerlab.daemon.hijack import HijackHandler
from dockerlab.daemon.jsonstream import (
    MULTIPLEXED_STREAM,
    RAW_STREAM,
    STDERR,
    STDOUT,
    Stream,
    closing,
    frame,
)
from dockerlab.daemon.query import Query
from dockerlab.daemon.shapes.detachkeys import parse_detach_keys
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.log import LogQuery, LogRecord
from dockerlab.errors import DockerlabError, InvalidArgument

__all__ = ["ROUTES"]

_NAME = r"(?P<name>[^/]+)"


class ContainerAttach(HijackHandler):
    """``POST /containers/{id}/attach``."""

    async def post(self, name: str) -> None:
        """Hand the connection to the engine, which joins it to the container's streams."""
        query = self.query
        detach_keys = parse_detach_keys(query.text("detachKeys"))
        container = self.engine.containers.check_attach(name)
        is_multiplexed = not container.config.tty
        connection, leftover = self.take_over(is_multiplexed=is_multiplexed)
        request = AttachRequest(
            stdin=query.boolean("stdin"),
            stdout=query.boolean("stdout"),
            stderr=query.boolean("stderr"),
            logs=query.boolean("logs"),
            stream=query.boolean("stream"),
            leftover=leftover,
            is_multiplexed=is_multiplexed,
            detach_keys=detach_keys,
        )
        try:
            if container.state.is_running:
                await self.until_head_is_read(connection)
            await self.engine.containers.attach(container.id, request, connection)
        except BaseException:
            connection.close()
            raise


class ContainerLogs(ApiHandler):
    """``GET /containers/{id}/logs``."""

    async def get(self, name: str) -> None:
        """Write the log, and with `follow` go on until the container ends."""
        query = self.query
        wanted = _log_query(query)
        container = self.engine.containers.get(name)
        is_multiplexed = not container.config.tty
        is_named = is_multiplexed and self.is_at_least("1.42")
        self.set_header("Content-Type", MULTIPLEXED_STREAM if is_named else RAW_STREAM)
        with_times, with_details = query.boolean("timestamps"), query.boolean("details")

        found = self.engine.containers.logs(container.id, wanted)

        async def copy() -> None:
            """Write the records as they come."""
            stream = Stream(self)
            await stream.begin()
            async with closing(found) as records:
                async for record in records:
                    line = _log_line(record, with_times=with_times, with_details=with_details)
                    kind = STDERR if record.stream == "stderr" else STDOUT
                    await stream.write(frame(kind, line) if is_multiplexed else line)

        await self.while_connected(copy())


class ContainerWait(ApiHandler):
    """``POST /containers/{id}/wait``."""

    async def post(self, name: str) -> None:
        """Send the head at once, and the exit status when there is one."""
        condition = _wait_condition(self.query)
        exit_code = await self.engine.containers.wait(name, condition)
        self.set_header("Content-Type", "application/json")
        await self.while_connected(self._answer(exit_code))

    async def _answer(self, exit_code: Awaitable[int]) -> None:
        # A client starts the container when it has seen the head: no exit can be missed.
        stream = Stream(self)
        await stream.begin()
        try:
            shape: dict[str, object] = {"StatusCode": await exit_code}
        except DockerlabError as exc:
            # Too late for a status (Engine API, ContainerWaitResponse, Error).
            shape = {"StatusCode": -1, "Error": {"Message": message_of(exc)}}
        await stream.write_json(shape)


def _log_query(query: Query) -> LogQuery:
    stdout, stderr = query.boolean("stdout"), query.boolean("stderr")
    if not (stdout or stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    tail = query.text("tail", "all")
    # A number is a number of lines; dockerd takes everything else, and what is negative, for "all".
    lines = int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 10 else None  # noqa: PLR2004
    return LogQuery(
        stdout=stdout,
        stderr=stderr,
        since=query.moment("since"),
        until=query.moment("until"),
        tail=lines,
        follow=query.boolean("follow"),
    )


def _log_line(record: LogRecord, *, with_times: bool, with_details: bool) -> bytes:
    line = record.line
    if with_details:
        # The attributes of --log-opt; without any the blank is there all the same.
        words = [
            f"{quote_plus(key)}={quote_plus(text)}"
            for key, text in sorted(record.attributes.items())
        ]
        line = ",".join(words).encode() + b" " + line
    return record.time.encode() + b" " + line if with_times else line


def _wait_condition(query: Query) -> WaitCondition:
    text = query.text("condition") or "not-running"
    for known in get_args(WaitCondition):
        if text == known:
            condition: WaitCondition = known
            return condition
    raise InvalidArgument(f'invalid condition: "{text[:40]}"')


ROUTES = (
    (rf"/containers/{_NAME}/attach", ContainerAttach),
    (rf"/containers/{_NAME}/logs", ContainerLogs),
    (rf"/containers/{_NAME}/wait", ContainerWait),
)
