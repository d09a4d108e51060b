"""An engine in memory behind the daemon's Protocols: it has no kernel, but real sockets.

Its programs are played by coroutines: ``echo WORDS``, ``cat``, ``exit N``, ``sleep``; any other is
not found, and ``denied`` may not be executed.
"""

# ruff: noqa: ARG002 - the methods have the parameters of the Protocols

import asyncio
import hashlib
import itertools
import socket
from builtins import list as List  # noqa: N812 - the Protocols have methods called list
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from dockerlab import errors
from dockerlab.daemon.backend import Builds, Commits, Filters, Pushes, Transfers, WaitCondition
from dockerlab.daemon.jsonstream import frame
from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.container import (
    Container,
    ContainerConfig,
    ContainerId,
    ContainerState,
    HostConfig,
)
from dockerlab.engine.event import Event
from dockerlab.engine.exec import Exec, ExecConfig
from dockerlab.engine.image import (
    Image,
    ImageHistory,
    ImageLayers,
    ImagePrune,
    ImageRemoval,
    PullProgress,
)
from dockerlab.engine.log import LogQuery, LogRecord
from dockerlab.engine.network import EndpointSettings
from dockerlab.engine.registry import Credential, RateLimit
from dockerlab.engine.system import EngineInfo
from dockerlab.oci.digest import Digest
from dockerlab.oci.imageconfig import ImageConfig, RootFS, RunConfig
from dockerlab.phases import Phase
from tests.unit.daemon.memory_resources import MemoryResources
from tests.unit.daemon.memoryfiles import MemoryArchives, MemoryVolumes
from tests.unit.daemon.memorynetworks import MemoryNetworks

NOW = datetime(2026, 1, 31, 12, 0, 0, 120000, tzinfo=UTC)
TIME = "2026-01-31T12:00:00.123456789Z"
STREAMS = {"stdout": 1, "stderr": 2}


def digest(text: str) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def make_image(name: str, cmd: tuple[str, ...] = ("echo", "hello")) -> Image:
    run = RunConfig(cmd=cmd, env=("PATH=/bin",), labels={"of": name})
    return Image(
        id=digest(name),
        created_at=NOW,
        tags=(f"{name}:latest",),
        digests=(f"{name}@{digest(name + '.manifest')}",),
        size_bytes=1_234_567,
        config=ImageConfig(
            architecture="amd64", config=run, rootfs=RootFS(diff_ids=(digest(name + ".layer"),))
        ),
        manifest=digest(name + ".manifest"),
        labels={"of": name},
    )


@dataclass
class Running:
    """What belongs to one container besides its record."""

    log: list[LogRecord] = field(default_factory=list)
    attached: list[tuple[AttachRequest, socket.socket]] = field(default_factory=list)
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


class MemoryContainers:
    def __init__(self, engine: "MemoryEngine") -> None:
        self._engine = engine
        self._serial = itertools.count()
        self.records: dict[str, Container] = {}
        self.running: dict[str, Running] = {}
        self.resized: list[tuple[int, int]] = []
        self.cancelled_logs = 0
        self._exit_codes: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def create(
        self,
        name: str,
        config: ContainerConfig,
        host: HostConfig,
        platform: str,
        networks: Sequence[EndpointSettings] = (),
    ) -> tuple[ContainerId, List[str]]:
        image = self._engine.images.get(config.image)
        name = name or f"container{next(self._serial)}"
        if any(known.name == name for known in self.records.values()):
            raise errors.Conflict(
                f'Conflict. The container name "/{name}" is already in use by another container.'
            )
        run = image.config.config or RunConfig()
        container_id = ContainerId(hashlib.sha256(name.encode()).hexdigest())
        self.records[container_id] = Container(
            id=container_id,
            name=name,
            image_id=image.id,
            created_at=NOW,
            config=msgspec.structs.replace(config, cmd=config.cmd or run.cmd),
            host=host,
            platform=platform or "linux",
            networks=tuple(networks),
        )
        self.running[container_id] = Running()
        self._engine.events.publish("create", self.records[container_id])
        return container_id, []

    def list(self, *, include_stopped: bool, limit: int, filters: Filters) -> List[Container]:
        found = [
            c
            for c in self.records.values()
            if (include_stopped or limit or c.state.is_running)
            and c.state.status in filters.get("status", [c.state.status])
            and c.name in filters.get("name", [c.name])
        ]
        return found[: limit or None]

    def get(self, name: str) -> Container:
        for record in self.records.values():
            if record.name == name or (len(name) > 3 and record.id.startswith(name)):
                return record
        raise errors.ContainerNotFound(name)

    def writable_bytes(self, name: str) -> int:
        return len(self.get(name).name)

    def log_path(self, name: str) -> str:
        return f"/logs/{self.get(name).id}"

    async def start(self, name: str) -> None:
        record = self.get(name)
        if record.state.is_running:
            raise errors.NotModified("running")
        program = record.argv[0]
        if program == "denied":
            error: errors.StartFailure = errors.CommandNotExecutable(
                'cannot start "denied"', step="exec", errno=13
            )
            raise self._start_failed(record, error)
        if program not in ("echo", "cat", "exit", "sleep"):
            error = errors.CommandNotFound(f'cannot start "{program}"', step="exec", errno=2)
            raise self._start_failed(record, error)
        self._set(record.id, status="running", pid=4711, started_at=datetime.now(UTC))
        self._engine.events.publish("start", self.get(record.id))
        task = asyncio.ensure_future(self._run(record.id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, name: str, *, timeout_s: int | None, signal: str) -> None:
        record = self.get(name)
        if not record.state.is_running:
            raise errors.NotModified("stopped")
        self.running[record.id].killed.set()
        await self.running[record.id].ended.wait()

    async def restart(self, name: str, *, timeout_s: int | None, signal: str) -> None:
        record = self.get(name)
        if record.state.is_running:
            await self.stop(name, timeout_s=timeout_s, signal=signal)
        self.running[record.id] = Running()
        await self.start(name)

    async def kill(self, name: str, *, signal: str) -> None:
        record = self.get(name)
        if not record.state.is_running:
            raise errors.Conflict(f"Container {record.id} is not running")
        self.running[record.id].killed.set()

    async def wait(self, name: str, condition: WaitCondition) -> Awaitable[int]:
        record = self.get(name)

        async def exit_code() -> int:
            if condition != "not-running" or record.state.is_running:
                await self.running[record.id].ended.wait()
            return self._exit_codes.get(record.id, 0)

        return exit_code()

    async def remove(self, name: str, *, force: bool, with_volumes: bool = False) -> None:
        record = self.get(name)
        if record.state.is_running and not force:
            raise errors.Conflict(f'cannot remove container "/{record.name}": it is running')
        self.running[record.id].killed.set()
        del self.records[record.id]

    async def rename(self, name: str, new_name: str) -> None:
        record = self.get(name)
        self.records[record.id] = msgspec.structs.replace(record, name=new_name)

    async def resize(self, name: str, *, rows: int, columns: int) -> None:
        self.get(name)
        self.resized.append((rows, columns))

    def check_attach(self, name: str) -> Container:
        return self.get(name)

    async def attach(self, name: str, request: AttachRequest, connection: socket.socket) -> None:
        self.running[self.get(name).id].attached.append((request, connection))

    def logs(self, name: str, query: LogQuery) -> AsyncIterator[LogRecord]:
        record = self.get(name)
        if record.host.log_driver == "none":
            raise errors.Unsupported("configured logging driver does not support reading")
        return self._read(record.id, query)

    def phases(self, name: str) -> List[Phase]:
        self.get(name)
        return [Phase(phase="start", begin_s=1.0, duration_s=0.007)]

    async def _read(self, container_id: str, query: LogQuery) -> AsyncIterator[LogRecord]:
        running = self.running[container_id]
        sent = 0
        try:
            while True:
                records = running.log[sent:]
                sent += len(records)
                for record in records if query.tail is None else records[-query.tail :]:
                    if query.stdout if record.stream == "stdout" else query.stderr:
                        yield record
                if not query.follow or running.ended.is_set():
                    return
                async with running.changed:
                    await running.changed.wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled_logs += 1
            raise

    async def _run(self, container_id: str) -> None:
        record = self.records[container_id]
        program, *words = record.argv
        running = self.running[container_id]
        exit_code = 0
        if program == "echo":
            await self._say(container_id, " ".join(words).encode() + b"\n")
        elif program == "cat":
            await self._cat(container_id)
        elif program == "exit":
            await self._say(container_id, b"gone\n", "stderr")
            exit_code = int(words[0])
        else:
            await running.killed.wait()
            exit_code = 137
        for _, connection in running.attached:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._exit_codes[container_id] = exit_code
        if container_id in self.records:
            self._set(container_id, status="exited", exit_code=exit_code, finished_at=NOW)
            self._engine.events.publish("die", self.records[container_id], exitCode=str(exit_code))
            if record.host.auto_remove:
                del self.records[container_id]
        running.ended.set()
        async with running.changed:
            running.changed.notify_all()

    async def _cat(self, container_id: str) -> None:
        loop = asyncio.get_running_loop()
        for request, connection in self.running[container_id].attached:
            if not request.stdin:
                continue
            chunk = request.leftover or await loop.sock_recv(connection, 4096)
            while chunk:
                await self._say(container_id, chunk)
                chunk = await loop.sock_recv(connection, 4096)

    async def _say(self, container_id: str, data: bytes, stream: str = "stdout") -> None:
        running = self.running[container_id]
        running.log.append(LogRecord(stream=stream, time=TIME, line=data))
        for request, connection in running.attached:
            if request.stdout if stream == "stdout" else request.stderr:
                framed = frame(STREAMS[stream], data) if request.is_multiplexed else data
                await asyncio.get_running_loop().sock_sendall(connection, framed)
        async with running.changed:
            running.changed.notify_all()

    def _start_failed(self, record: Container, error: errors.StartFailure) -> errors.StartFailure:
        running = self.running[record.id]
        for _, connection in running.attached:
            connection.close()
        self._exit_codes[record.id] = error.exit_code
        if record.host.auto_remove:
            del self.records[record.id]
        running.ended.set()
        return error

    def _set(self, container_id: str, **changes: Any) -> None:
        record = self.records[container_id]
        state = msgspec.structs.replace(record.state, **changes) if changes else ContainerState()
        self.records[container_id] = msgspec.structs.replace(record, state=state)


class MemoryExecs:
    def __init__(self, engine: "MemoryEngine") -> None:
        self._engine = engine
        self.records: dict[str, Exec] = {}
        self.resized: list[tuple[int, int]] = []

    def create(self, name: str, config: ExecConfig) -> str:
        container = self._engine.containers.get(name)
        if not container.state.is_running:
            raise errors.Conflict(f"container {container.id} is not running")
        exec_id = hashlib.sha256(str(len(self.records)).encode()).hexdigest()
        self.records[exec_id] = Exec(id=exec_id, container_id=container.id, config=config)
        return exec_id

    def get(self, exec_id: str) -> Exec:
        if exec_id not in self.records:
            raise errors.ExecNotFound(exec_id)
        return self.records[exec_id]

    async def start(
        self, exec_id: str, request: AttachRequest | None, connection: socket.socket | None
    ) -> None:
        record = self.get(exec_id)
        program, *words = record.config.argv
        if program != "echo":
            self.records[exec_id] = msgspec.structs.replace(record, exit_code=127)
            raise errors.CommandNotFound(f'cannot start "{program}"', step="exec", errno=2)
        if request is not None and connection is not None:
            data = " ".join(words).encode() + b"\n" + request.leftover
            connection.sendall(frame(1, data) if request.is_multiplexed else data)
            connection.close()
        self.records[exec_id] = msgspec.structs.replace(record, exit_code=0)

    def of_container(self, container_id: ContainerId) -> list[str]:
        mine = (each for each in self.records.values() if each.container_id == container_id)
        return [each.id for each in mine if each.exit_code is None]

    async def resize(self, exec_id: str, *, rows: int, columns: int) -> None:
        self.get(exec_id)
        self.resized.append((rows, columns))


class MemoryImages:
    def __init__(self) -> None:
        self.records: list[Image] = [make_image("hello"), make_image("busybox", ("sleep",))]

    def list(self, *, include_intermediate: bool, filters: Filters) -> List[Image]:
        wanted = filters.get("reference", [])
        return [i for i in self.records if not wanted or set(wanted) & set(i.tags)]

    def get(self, name: str) -> Image:
        for image in self.records:
            familiar = name.removeprefix("docker.io/library/")
            if {familiar, f"{familiar}:latest"} & set(image.tags) or image.id == name:
                return image
        raise errors.ImageNotFound(name if ":" in name else f"{name}:latest")

    def history(self, name: str) -> List[ImageHistory]:
        return [
            ImageHistory(
                id=self.get(name).id, created_at=NOW, created_by="COPY", size_bytes=9, comment=""
            )
        ]

    def container_count(self, image: Image) -> int:
        return 0

    def shared_bytes(self) -> dict[Digest, int]:
        return {image.id: 1000 for image in self.records}

    def layers_bytes(self) -> int:
        return 1_468_135

    async def prune(self, filters: Filters) -> ImagePrune:
        removals = [r for i in [*self.records] for r in await self.remove(
            i.id, force=False, prune=True)]  # fmt: skip
        return ImagePrune(removals=tuple(removals), freed_bytes=7)

    async def tag(self, name: str, repository: str, tag: str) -> None:
        image = self.get(name)
        index = self.records.index(image)
        tags = (*image.tags, f"{repository}:{tag}")
        self.records[index] = msgspec.structs.replace(image, tags=tags)

    async def remove(self, name: str, *, force: bool, prune: bool) -> List[ImageRemoval]:
        image = self.get(name)
        self.records.remove(image)
        return [
            ImageRemoval(action="untagged", what=image.tags[0]),
            ImageRemoval(action="deleted", what=image.id),
        ]


class MemoryLayers:
    def __init__(self, images: MemoryImages) -> None:
        self._images = images

    async def look_into(self, name: str) -> ImageLayers:
        return ImageLayers(id=self._images.get(name).id, layers=(), wasted=())


class MemoryPulls:
    def __init__(self, images: MemoryImages) -> None:
        self._images = images
        self.shown: list[Credential | None] = []
        self.is_cancelled = asyncio.Event()

    async def pull(
        self,
        reference: str,
        *,
        platform: str,
        emit: Callable[[PullProgress], None],
        credential: Credential | None = None,
    ) -> None:
        self.shown.append(credential)
        name = reference.removeprefix("docker.io/library/").removesuffix(":latest")
        if name == "nowhere":
            raise errors.ManifestNotFound("manifest for nowhere:latest not found")
        emit(PullProgress(status=f"Pulling from library/{name}", id="latest"))
        await asyncio.sleep(0)
        if name == "broken":
            raise errors.BadDigest("layer does not have its digest")
        if name == "endless":
            try:
                await asyncio.Event().wait()
            finally:
                self.is_cancelled.set()
        for current in (10, 100):
            emit(PullProgress(status="Downloading", id="a" * 12, current=current, total=100))
            await asyncio.sleep(0)
        emit(PullProgress(status="Pull complete", id="a" * 12))
        self._images.records.append(make_image(name))
        emit(PullProgress(status=f"Status: Downloaded newer image for {name}:latest"))

    async def pull_all(
        self,
        name: str,
        *,
        platform: str,
        emit: Callable[[PullProgress], None],
        credential: Credential | None = None,
    ) -> None:
        for tag in ("latest", "1"):
            await self.pull(f"{name}:{tag}", platform=platform, emit=emit, credential=credential)

    def phases(self, name: str) -> List[Phase]:
        self._images.get(name)
        return [
            Phase(phase="download", layer="sha256:a", begin_s=2.0, duration_s=0.5, size_bytes=7)
        ]


class MemoryRegistries:
    """One registry that knows ada, and that has said what it still gives."""

    async def log_in(self, server: str, credential: Credential) -> str:
        if (credential.username, credential.password) != ("ada", "secret"):
            raise errors.Unauthorized(f'cannot log in to "{server}": unauthorized')
        return "identity" if server == "realm.example" else ""

    def rate_limits(self) -> List[RateLimit]:
        return [
            RateLimit(
                registry="docker.io",
                limit=100,
                remaining=76,
                window_s=21600,
                source="192.0.2.1",
                seen_at=NOW,
            )
        ]


class MemoryEvents:
    def __init__(self) -> None:
        self.records: list[Event] = []
        self._changed = asyncio.Condition()
        self.is_left = asyncio.Event()

    def publish(self, action: str, container: Container, **attributes: str) -> None:
        given = {"name": container.name, "image": container.config.image, **attributes}
        self.records.append(
            Event(
                kind="container",
                action=action,
                actor_id=container.id,
                attributes=given,
                at=NOW,
                time_ns=1_769_860_800_120_000_000,
            )
        )
        task = asyncio.ensure_future(self._wake())
        task.add_done_callback(lambda _: None)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def stream(
        self, *, since: datetime | None, until: datetime | None, filters: Filters
    ) -> AsyncIterator[Event]:
        sent = 0 if since else len(self.records)
        try:
            while True:
                while sent < len(self.records):
                    sent += 1
                    yield self.records[sent - 1]
                if until is not None:
                    return
                async with self._changed:
                    await self._changed.wait()
        finally:
            self.is_left.set()


class MemorySystem:
    def info(self) -> EngineInfo:
        return EngineInfo(
            engine_id="engine",
            version="0.1.0",
            git_commit="",
            python_version="3.11.7",
            kernel_version="6.1.0",
            operating_system="Debian",
            architecture="amd64",
            hostname="host",
            cpus=2,
            memory_bytes=1 << 30,
            data_root="/data",
            socket_path="/run/engine.sock",
            log_path="/data/engine.log",
            pid=1,
            tier="rootful",
            tier_reason="root",
            cgroup_version="1",
            cgroup_driver="cgroupfs",
            runtime="dockerlab",
            runtimes=(("dockerlab", "dockerlab"),),
            log_driver="json-file",
            log_drivers=("json-file", "local", "none"),
            sealed_interpreter=True,
            default_network="none",
            containers_running=0,
            containers_paused=0,
            containers_stopped=0,
            images=2,
        )


class MemoryEngine:
    """All keepers; `has_work` is what a test says. What needs real files is not here."""

    builds: Builds
    commits: Commits
    pushes: Pushes
    transfers: Transfers

    def __init__(self) -> None:
        self.images = MemoryImages()
        self.layers = MemoryLayers(self.images)
        self.pulls = MemoryPulls(self.images)
        self.registries = MemoryRegistries()
        self.events = MemoryEvents()
        self.containers = MemoryContainers(self)
        self.execs = MemoryExecs(self)
        self.system = MemorySystem()
        self.resources = MemoryResources(self)
        self.volumes = MemoryVolumes()
        self.networks = MemoryNetworks(lambda: list(self.containers.records.values()))
        self.archives = MemoryArchives(self.containers)
        self.has_work = False
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True
        for running in self.containers.running.values():
            for _, connection in running.attached:
                connection.close()
