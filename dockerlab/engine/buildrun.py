"""RUN: a command in a container of the engine's own, whose changes become a layer."""

import asyncio
import codecs
import socket
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from dockerlab.engine.attachment import AttachRequest
from dockerlab.engine.build import BuildRequest, Tell
from dockerlab.engine.buildconfig import shell_of, sorted_pairs, variables_of
from dockerlab.engine.buildsteps import Stage, Step, Steps
from dockerlab.engine.commit import Commits
from dockerlab.engine.container import ContainerConfig, ContainerId, HealthCheck, HostConfig
from dockerlab.engine.containers import Containers
from dockerlab.engine.lives import Lives
from dockerlab.engine.roster import Roster
from dockerlab.errors import CommandFailed, Conflict, ContainerNotFound, InvalidArgument
from dockerlab.image.build import instructions as kinds
from dockerlab.image.build.lines import find_heredocs

__all__ = ["Runner"]

_HEAD_BYTES = 8
_STDERR = 2
_CHUNK_BYTES = 64 << 10
# Docker's classic builder shows what is written to standard error in bright red.
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Runner:
    """Carries out RUN."""

    containers: Containers
    lives: Lives
    roster: Roster
    commits: Commits

    async def run(
        self,
        stage: Stage,
        instruction: kinds.Run,
        steps: Steps,
        request: BuildRequest,
        tell: Tell,
    ) -> None:
        """Run the command, unless the cache has the step, and keep what it changed.

        Raises
        ------
        CommandFailed
            It ended with another status than 0.
        StartFailure
            It could not be started.
        """
        if instruction.mounts:
            raise InvalidArgument(
                "RUN --mount is not supported by this builder: copy what the command needs"
            )
        argv = _argv(stage, instruction)
        environment = variables_of(stage.config)
        arguments = {
            name: value for name, value in stage.arguments.values.items() if name not in environment
        }
        step = _step(argv, arguments, instruction)
        if await steps.use(stage, step):
            return
        if stage.image is None:
            raise InvalidArgument(
                "there is nothing to run in an empty image: COPY files into it before RUN"
            )
        network = instruction.network or request.host.network_mode
        host = msgspec.structs.replace(request.host, network_mode=network, auto_remove=True)
        config = ContainerConfig(
            image=stage.image.id,
            cmd=argv,
            entrypoint=("",),
            env=tuple(sorted_pairs({**stage.arguments.proxies, **arguments})),
            healthcheck=HealthCheck(test=("NONE",)),
        )
        await self._run(stage, step, steps, config, host, request, tell)

    async def _run(  # noqa: PLR0913, PLR0917 - one call, in parts
        self,
        stage: Stage,
        step: Step,
        steps: Steps,
        config: ContainerConfig,
        host: HostConfig,
        request: BuildRequest,
        tell: Tell,
    ) -> None:
        container_id = await self._create(config, host)
        is_kept = False
        # What is removed at its end by itself goes too when the engine is killed meanwhile.
        with self.lives.held(container_id):
            try:
                await tell(f" ---> Running in {container_id[:12]}\n")
                status = await self._execute(container_id, tell)
                if status:
                    is_kept = not request.always_removes
                    command = " ".join(config.cmd or ())
                    raise CommandFailed(
                        f"The command '{command}' returned a non-zero code: {status}", status
                    )
                layer = await self.commits.layer(container_id, latest_ns=steps.latest_ns)
                is_kept = not request.removes
                if not is_kept:
                    await tell(f"Removing intermediate container {container_id[:12]}\n")
            finally:
                await self._let_go(container_id, is_kept=is_kept)
        await steps.keep(stage, step, layer)

    async def _execute(self, container_id: ContainerId, tell: Tell) -> int:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        with ours:
            await self.containers.attach(
                container_id, AttachRequest(stdout=True, stderr=True), theirs
            )
            ended = await self.containers.wait(container_id, "next-exit")
            output = asyncio.ensure_future(_copy_output(ours, tell))
            try:
                await self.containers.start(container_id)
                await output
                return await ended
            finally:
                output.cancel()

    async def _let_go(self, container_id: ContainerId, *, is_kept: bool) -> None:
        """Remove the container, or leave it as one that was run by hand."""
        if is_kept:
            container = self.roster.get(container_id)
            host = msgspec.structs.replace(container.host, auto_remove=False)
            self.roster.save(msgspec.structs.replace(container, host=host))
            return
        await asyncio.shield(self.lives.in_background(self._remove(container_id)))

    async def _remove(self, container_id: ContainerId) -> None:
        with suppress(ContainerNotFound):  # One that could not be started has gone by itself.
            try:
                await self.containers.remove(container_id, force=True, with_volumes=True)
            except Conflict:
                # Its start was on the way, and goes on to its end whoever has left.
                await self.containers.remove(container_id, force=True, with_volumes=True)

    async def _create(self, config: ContainerConfig, host: HostConfig) -> ContainerId:
        """Create the container; a build that is cancelled meanwhile leaves none."""
        creating = asyncio.ensure_future(self.containers.create("", config, host, ""))
        try:
            return (await asyncio.shield(creating))[0]
        except asyncio.CancelledError:
            container_id, _ = await creating
            await self._remove(container_id)
            raise


def _argv(stage: Stage, instruction: kinds.Run) -> tuple[str, ...]:
    command = instruction.command
    if not command.is_shell:
        return command.words
    [text] = command.words
    heredocs = instruction.heredocs
    if heredocs:
        [*_, last] = find_heredocs(text)
        if len(heredocs) == 1 and last[0] == text.strip():
            # The text is the script itself (the reference, "Here-Documents").
            text = heredocs[0].text
        else:
            text = text + "\n" + "".join(heredoc.source for heredoc in heredocs)
    return (*shell_of(stage.config), text)


def _step(argv: tuple[str, ...], arguments: dict[str, str], instruction: kinds.Run) -> Step:
    words = argv
    if arguments:
        words = (f"|{len(arguments)}", *sorted_pairs(arguments), *argv)
    return Step(" ".join(words), "exec" if not instruction.command.is_shell else "")


async def _copy_output(stream: socket.socket, tell: Tell) -> None:
    """Tell what the container writes, until it has closed its streams."""
    loop = asyncio.get_running_loop()
    decoders = {number: codecs.getincrementaldecoder("utf-8")("replace") for number in (1, 2)}
    data = b""
    while piece := await loop.sock_recv(stream, _CHUNK_BYTES):
        data += piece
        while len(data) >= _HEAD_BYTES:
            end = _HEAD_BYTES + int.from_bytes(data[4:_HEAD_BYTES])
            if len(data) < end:
                break
            number = data[0]
            text = decoders[_STDERR if number == _STDERR else 1].decode(data[_HEAD_BYTES:end])
            data = data[end:]
            if text:
                await tell(f"{_RED}{text}{_PLAIN}" if number == _STDERR else text)
