"""Making a layer of what a container has changed, and an image of the container.

`Commits.layer` is the part that a build needs as well: ``await commits.layer(container_id,
latest_ns=None)`` returns a `PulledLayer` (descriptor of the compressed blob, which is in the
content store, diffID, staged folder, unpacked bytes), or None when nothing was changed; it goes to
`Keeper.keep` with those of `Keeper.layers_of(image)` below it. `Commits.commit` is
``docker commit``.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from dockerlab.engine.asking import Answers
from dockerlab.engine.container import Container, ContainerConfig
from dockerlab.engine.containers import Containers
from dockerlab.engine.events import Events
from dockerlab.engine.folders import Folders
from dockerlab.engine.image import CommitRequest, Image
from dockerlab.engine.imagechanges import apply_changes
from dockerlab.engine.keeping import Keeper
from dockerlab.engine.lives import Lives
from dockerlab.engine.pausing import Pausing
from dockerlab.engine.start import Starter
from dockerlab.errors import Conflict, EngineFailure, Unsupported
from dockerlab.image.layerblobs import LayerBlob, MadeLayer, new_layer_blob
from dockerlab.image.registry.download import PulledLayer
from dockerlab.oci.imageconfig import History, ImageConfig, ImageHealthCheck, RootFS, RunConfig
from dockerlab.oci.reference import parse_reference

__all__ = ["Commits", "run_config"]

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Commits:
    """Turns containers into layers and images."""

    containers: Containers
    lives: Lives
    folders: Folders
    starter: Starter
    keeper: Keeper
    pausing: Pausing
    events: Events

    async def layer(self, name: str, *, latest_ns: int | None = None) -> PulledLayer | None:
        """Return what a container has changed as a layer, None when that is nothing.

        Parameters
        ----------
        latest_ns : int, optional
            Later times than this become this, in nanoseconds since the epoch.

        Raises
        ------
        Unsupported
            This tier has no such folder.
        InvalidArgument
            A file cannot be part of a layer.
        EngineFailure
            The disk is full, or the kernel refuses.

        Notes
        -----
        A container that does not run is kept from starting meanwhile; what runs is not paused here.
        """
        container = self.containers.get(name)
        overlay = self.starter.launching.overlay(container, self.folders.container(container.id))
        async with self._at_rest(container):
            return await self.layer_of(overlay, latest_ns=latest_ns)

    async def layer_of(
        self, overlay: dict[str, Any], *, latest_ns: int | None = None
    ) -> PulledLayer | None:
        """Return what the upper folder of an overlay holds as a layer; see `layer`."""
        mapping = self.starter.mapping
        args = {
            "overlay": overlay,
            "has_owner_notes": mapping is not None and mapping.has_one_id,
            "latest_ns": latest_ns,
        }
        made = await self._pack(args)
        if made is None:
            return None
        return await asyncio.to_thread(self.keeper.unpack, made.descriptor, made.diff_id)

    async def commit(self, request: CommitRequest) -> Image:
        """Make an image of a container.

        Raises
        ------
        ContainerNotFound, BadReference, InvalidArgument, Unsupported
            As they say; before anything is done.
        """
        container = self.containers.get(request.container)
        reference = None
        if request.repository:
            tag = f":{request.tag}" if request.tag else ""
            reference = parse_reference(f"{request.repository}{tag}")
        run = apply_changes(_merged(request.config, container.config), request.changes)
        base = self.keeper.images.get(container.image_id)
        async with self._paused(container, wanted=request.pauses):
            layer = await self.layer(container.id)
        config = _child(base.config, container, request, run, layer)
        layers = (*self.keeper.layers_of(base), *([layer] if layer else []))
        references = [reference] if reference else []
        image = await self.keeper.keep(msgspec.json.encode(config), layers, references)
        if reference is not None:
            self.events.publish("image", "tag", image.id, {"name": reference.familiar})
        self.events.of_container(container, "commit", comment=request.message, imageID=image.id)
        return image

    @asynccontextmanager
    async def _at_rest(self, container: Container) -> AsyncIterator[None]:
        """Keep one that does not run from running: what it writes must not be a part of it."""
        if self.lives.find_task(container.id) is not None:
            yield
            return
        async with self.lives.at_rest(container.id):
            yield

    @asynccontextmanager
    async def _paused(self, container: Container, *, wanted: bool) -> AsyncIterator[None]:
        """Pause a running container for the block, where that can be done."""
        is_paused = False
        if wanted and container.state.status == "running":
            try:
                await self.pausing.pause(container)
                is_paused = True
            except (Conflict, Unsupported):
                # It has just ended, or has no cgroup: then it is read as it runs.
                is_paused = False
        try:
            yield
        finally:
            now = self.containers.get(container.id) if is_paused else None
            if now is not None and now.state.status == "paused":
                self.pausing.unpause(now)

    async def _pack(self, args: dict[str, object]) -> MadeLayer | None:
        """Have a child write the layer, and a thread make a blob of what it writes."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with new_layer_blob(self.keeper.store.content) as blob, ours:
            with theirs:
                answers = Answers(self.starter.spawner, "pack_layer", args, [theirs.fileno()])
            copying = asyncio.create_task(asyncio.to_thread(_copy, ours, blob))
            try:
                told = await answers.next_json()
                await copying
            except EngineFailure:
                # A child whose words nobody took has nothing to say; the thread knows why.
                await copying
                raise
            finally:
                ours.shutdown(socket.SHUT_RDWR)
                await asyncio.wait([copying])
                await answers.end()
                answers.close()
            return await asyncio.to_thread(blob.commit) if told["members"] else None


def _copy(stream: socket.socket, blob: LayerBlob) -> None:
    try:
        while piece := stream.recv(_CHUNK_BYTES):
            blob.write(piece)
    finally:
        # Whoever writes must not wait for a reader that is gone.
        stream.shutdown(socket.SHUT_RD)


def run_config(config: ContainerConfig) -> RunConfig:
    """Return a container's config as the defaults of an image."""
    health = config.healthcheck
    return RunConfig(
        user=config.user or None,
        exposed_ports={port: {} for port in config.exposed_ports} or None,
        env=config.env or None,
        entrypoint=config.entrypoint,
        cmd=config.cmd,
        volumes={path: {} for path in config.volumes} or None,
        working_dir=config.working_dir or None,
        labels=config.labels or None,
        stop_signal=config.stop_signal or None,
        healthcheck=None
        if health is None
        else ImageHealthCheck(
            test=health.test or None,
            interval=health.interval_ns or None,
            timeout=health.timeout_ns or None,
            start_period=health.start_period_ns or None,
            start_interval=health.start_interval_ns or None,
            retries=health.retries or None,
        ),
        shell=config.shell or None,
    )


def _merged(given: ContainerConfig | None, own: ContainerConfig) -> RunConfig:
    """Return the container's config with what a client gives in place of it (moby, merge)."""
    if given is None:
        return run_config(own)
    base, new = run_config(own), run_config(given)
    fields = {name: getattr(new, name) for name in new.__struct_fields__}
    named = {entry.partition("=")[0] for entry in new.env or ()}
    kept = [entry for entry in base.env or () if entry.partition("=")[0] not in named]
    fields["env"] = (*(new.env or ()), *kept) or None
    fields["labels"] = {**(base.labels or {}), **(new.labels or {})} or None
    if new.entrypoint and not new.cmd:
        fields["cmd"] = ()
    return msgspec.structs.replace(
        base, **{name: value for name, value in fields.items() if value is not None}
    )


def _child(
    base: ImageConfig,
    container: Container,
    request: CommitRequest,
    run: RunConfig,
    layer: PulledLayer | None,
) -> ImageConfig:
    """Return the config of the new image, one line of history longer than its base."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = History(
        created=now,
        created_by=" ".join(container.config.cmd or ()) or None,
        author=request.author or None,
        comment=request.message or None,
        empty_layer=layer is None,
    )
    diff_ids = base.rootfs.diff_ids
    history = base.history or (History(created=base.created),) * len(diff_ids)
    return ImageConfig(
        architecture=base.architecture,
        os=base.os,
        variant=base.variant,
        created=now,
        author=request.author or None,
        config=run,
        rootfs=RootFS(diff_ids=(*diff_ids, *([layer.diff_id] if layer else []))),
        history=(*history, line),
    )
