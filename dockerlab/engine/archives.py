"""Copying from and to containers, and what they have changed: the daemon's side.

A child of the zygote does the work (`filejobs`); archives go through a socket, whose two ends never
hold more than the kernel's buffer, so a slow client makes the child wait and not the daemon.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from dockerlab.engine.archive import Change, PathStat
from dockerlab.engine.asking import Answers
from dockerlab.engine.containers import Containers
from dockerlab.engine.folders import Folders
from dockerlab.engine.lives import Lives
from dockerlab.engine.start import Starter
from dockerlab.errors import NotFound

__all__ = ["Archives", "Upload"]

_CHUNK_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Upload:
    """An archive on its way into a container."""

    _stream: socket.socket
    _answers: Answers

    async def write(self, data: bytes) -> None:
        """Give the next bytes; what comes behind the end of the archive is dropped."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._stream, data)
        except OSError:
            return  # The child has ended: `finish` says why.

    async def finish(self) -> None:
        """Wait until everything is written; raise what the child says has failed."""
        self._stream.close()
        await self._answers.next_json()


class Archives:
    """Reads and writes the files of containers, whether they run or not."""

    def __init__(
        self, containers: Containers, lives: Lives, folders: Folders, starter: Starter
    ) -> None:
        self._containers = containers
        self._lives = lives
        self._folders = folders
        self._starter = starter

    async def stat(self, name: str, path: str) -> PathStat:
        """Return the facts of a path; a link on its end is not followed.

        Raises
        ------
        ContainerNotFound, NotFound
            No such container, no such path.
        """
        async with self._job(name, "read_archive", {"path": path}) as answers:
            return _path_stat(await answers.next_json())

    @asynccontextmanager
    async def download(
        self, name: str, path: str
    ) -> AsyncIterator[tuple[PathStat, AsyncIterator[bytes]]]:
        """Give the facts of a path and the pieces of an archive of it."""
        ours, theirs = _streams()
        async with self._job(name, "read_archive", {"path": path}, ours, theirs) as answers:
            facts = _path_stat(await answers.next_json())
            yield facts, _pieces(ours, answers)

    @asynccontextmanager
    async def export(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the pieces of an archive of the whole root, without what is mounted in it."""
        ours, theirs = _streams()
        async with self._job(name, "export_root", {}, ours, theirs) as answers:
            yield _pieces(ours, answers)

    @asynccontextmanager
    async def upload(
        self, name: str, path: str, *, keeps_kinds: bool, as_user: bool
    ) -> AsyncIterator[Upload]:
        """Take an archive that is unpacked into a folder.

        Parameters
        ----------
        keeps_kinds : bool
            A folder must not become a file, nor conversely.
        as_user : bool
            Everything belongs to the container's user.

        Raises
        ------
        NotFound, InvalidArgument, Forbidden
            No such folder, none at all, or a read-only one.
        """
        container = self._containers.get(name)
        args = {
            "path": path,
            "keeps_kinds": keeps_kinds,
            "user": container.config.user if as_user else "",
            "userxattr": self._starter.mapping is not None,
        }
        ours, theirs = _streams()
        async with self._job(name, "write_archive", args, ours, theirs) as answers:
            await answers.next_json()
            yield Upload(ours, answers)

    async def changes(self, name: str) -> list[Change]:
        """Return what a container has changed, by path."""
        ours, theirs = _streams()
        async with self._job(name, "changes", {}, ours, theirs) as answers:
            data = b"".join([piece async for piece in _pieces(ours, answers)])
        lines = [json.loads(line) for line in data.splitlines()]
        return [Change(path=path, kind=kind) for path, kind in lines]

    @asynccontextmanager
    async def _job(
        self, name: str, job: str, args: dict[str, Any], *streams: socket.socket
    ) -> AsyncIterator[Answers]:
        """Have a child at work on a container's files; one that does not run stays so meanwhile.

        `streams` are our end and the child's of what the archive goes through; they are closed.
        """
        async with AsyncExitStack() as stack:
            for stream in streams:
                stack.callback(stream.close)
            container = self._containers.get(name)
            if self._lives.find_task(container.id) is None:
                await stack.enter_async_context(self._lives.at_rest(container.id))
            # Asked again: it may have been started while this waited.
            task = self._lives.find_task(container.id)
            init_pidfd = -1 if task is None else task.pidfd
            root = self._starter.root_of(container, self._folders.container(container.id))
            sent = {**args, "root": root, "overlay": root["overlay"], "runs": init_pidfd >= 0}
            fds = [stream.fileno() for stream in streams[1:]]
            fds += [init_pidfd] if init_pidfd >= 0 else []
            answers = Answers(self._starter.spawner, job, sent, fds)
            stack.callback(answers.close)
            for stream in streams[1:]:
                stream.close()
            try:
                yield answers
            except NotFound as exc:
                raise NotFound(f"{exc.message} in container {name}") from exc
            finally:
                for stream in streams:
                    stream.close()
                # Only behind its end may the same folders be mounted again.
                await answers.end()


def _streams() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return ours, theirs


async def _pieces(stream: socket.socket, answers: Answers) -> AsyncIterator[bytes]:
    """Yield what comes; raise behind the last piece when it was not the end."""
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(stream, _CHUNK_BYTES):
        yield piece
    await answers.next_json()


def _path_stat(message: dict[str, Any]) -> PathStat:
    return PathStat(**message["stat"])
