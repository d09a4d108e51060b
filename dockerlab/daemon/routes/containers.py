"""Routes of containers: create, list, inspect and the verbs of their life.

What turns raw or goes on for long (attach, logs, wait) is in `routes.streams`.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from dockerlab.daemon.backend import Engine
from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.shapes import container as shape
from dockerlab.daemon.shapes.creation import CreateBody, creation
from dockerlab.engine.container import Container
from dockerlab.errors import (
    Conflict,
    ContainerNotFound,
    ImageNotFound,
    InvalidArgument,
    Unsupported,
    VolumeNotFound,
)
from dockerlab.units import parse_moment

__all__ = ["ROUTES", "summaries"]

_NAME = r"(?P<name>[^/]+)"
# Since then a container may be made on several networks (Engine API, version history).
_MANY_NETWORKS_SINCE = "1.44"


def summaries(
    engine: Engine, containers: Iterable[Container], *, with_sizes: bool
) -> list[dict[str, Any]]:
    """Return the containers as ``GET /containers/json`` lists them."""
    now = datetime.now(UTC)
    return [
        shape.summary(
            container,
            image=_image_name(engine, container),
            now=now,
            sizes=_sizes(engine, container) if with_sizes else None,
            volume_paths=_volume_paths(engine, container),
            network_ids=_network_ids(engine, container),
        )
        for container in containers
    ]


class ContainerCreate(ApiHandler):
    """``POST /containers/create``."""

    async def post(self) -> None:
        """Create a container; the image must be there."""
        config, host, networks = creation(self.read_json(CreateBody))
        if len(networks) > 1 and not self.is_at_least(_MANY_NETWORKS_SINCE):
            names = ", ".join(sorted(place.network for place in networks))
            raise InvalidArgument(f"Container cannot be connected to network endpoints: {names}")
        query = self.query
        container_id, warnings = await self.engine.containers.create(
            query.text("name").removeprefix("/"), config, host, query.text("platform"), networks
        )
        self.write_json({"Id": container_id, "Warnings": warnings}, HTTPStatus.CREATED)


class ContainerList(ApiHandler):
    """``GET /containers/json``."""

    def get(self) -> None:
        """List containers, newest first."""
        query = self.query
        containers = self.engine.containers.list(
            include_stopped=query.boolean("all"),
            # The docker client sends -1 for no limit.
            limit=max(0, query.number("limit") or 0),
            filters=query.filters(),
        )
        self.write_json(summaries(self.engine, containers, with_sizes=query.boolean("size")))


class ContainerInspect(ApiHandler):
    """``GET /containers/{id}/json``."""

    def get(self, name: str) -> None:
        """Describe one container."""
        container = self.engine.containers.get(name)
        self.write_json(
            shape.inspection(
                container,
                log_path=self.engine.containers.log_path(name),
                exec_ids=self.engine.execs.of_container(container.id),
                sizes=_sizes(self.engine, container) if self.query.boolean("size") else None,
                volume_paths=_volume_paths(self.engine, container),
                network_ids=_network_ids(self.engine, container),
            )
        )


class ContainerStart(ApiHandler):
    """``POST /containers/{id}/start``."""

    async def post(self, name: str) -> None:
        """Start it."""
        if self.request.body.strip() not in (b"", b"{}", b"null"):
            # Until 1.24 a HostConfig could come here (Engine API, version history).
            raise InvalidArgument(
                "starting container with non-empty request body was deprecated since API v1.22"
                " and removed in v1.24"
            )
        await self.engine.containers.start(name)
        self.write_nothing()


class ContainerStop(ApiHandler):
    """``POST /containers/{id}/stop``."""

    async def post(self, name: str) -> None:
        """Stop it: its stop signal, then after `t` seconds SIGKILL."""
        query = self.query
        await self.engine.containers.stop(
            name, timeout_s=query.number("t"), signal=query.text("signal")
        )
        self.write_nothing()


class ContainerRestart(ApiHandler):
    """``POST /containers/{id}/restart``."""

    async def post(self, name: str) -> None:
        """Stop it if it runs, and start it."""
        query = self.query
        await self.engine.containers.restart(
            name, timeout_s=query.number("t"), signal=query.text("signal")
        )
        self.write_nothing()


class ContainerKill(ApiHandler):
    """``POST /containers/{id}/kill``."""

    async def post(self, name: str) -> None:
        """Send a signal to its PID 1."""
        await self.engine.containers.kill(name, signal=self.query.text("signal"))
        self.write_nothing()


class ContainerRename(ApiHandler):
    """``POST /containers/{id}/rename``."""

    async def post(self, name: str) -> None:
        """Give it another name."""
        new_name = self.query.text("name").removeprefix("/")
        if not new_name:
            raise InvalidArgument("Neither old nor new names may be empty")
        await self.engine.containers.rename(name, new_name)
        self.write_nothing()


class ContainerResize(ApiHandler):
    """``POST /containers/{id}/resize``."""

    async def post(self, name: str) -> None:
        """Set the size of its terminal."""
        query = self.query
        await self.engine.containers.resize(name, rows=query.size("h"), columns=query.size("w"))
        self.set_status(HTTPStatus.OK)


class ContainerRemove(ApiHandler):
    """``DELETE /containers/{id}``."""

    async def delete(self, name: str) -> None:
        """Remove it, with `v` its anonymous volumes, too."""
        query = self.query
        if query.boolean("link"):
            raise Unsupported("--link is not supported by this version of dockerlab")
        await self.engine.containers.remove(
            name, force=query.boolean("force"), with_volumes=query.boolean("v")
        )
        self.write_nothing()


class ContainerPrune(ApiHandler):
    """``POST /containers/prune``."""

    async def post(self) -> None:
        """Remove all containers that do not run."""
        containers = self.engine.containers
        filters = self.query.filters()
        for key in filters.keys() - {"until", "label", "label!"}:
            raise InvalidArgument(f"invalid filter '{key}': known are label, label!, until")
        until = _prune_moment(filters.pop("until", []))
        deleted: list[str] = []
        freed_bytes = 0
        stopped = {**filters, "status": ["created", "exited", "dead"]}
        for container in containers.list(include_stopped=True, limit=0, filters=stopped):
            if until is not None and container.created_at >= until:
                continue
            try:
                size_bytes = containers.writable_bytes(container.id)
                await containers.remove(container.id, force=False)
            except (ContainerNotFound, Conflict):
                continue  # removed or started by somebody else in the meantime
            deleted.append(container.id)
            freed_bytes += size_bytes
        self.write_json({"ContainersDeleted": deleted or None, "SpaceReclaimed": freed_bytes})


def _prune_moment(texts: list[str]) -> datetime | None:
    """Return before when a container must have been made; dockerd takes one moment or none."""
    if len(texts) > 1:
        raise InvalidArgument("more than one until filter specified")
    return parse_moment(texts[0], datetime.now(UTC)) if texts else None


def _image_name(engine: Engine, container: Container) -> str:
    # As in dockerd, a name that by now belongs to another image is not shown.
    try:
        image = engine.images.get(container.config.image)
    except (ImageNotFound, InvalidArgument):
        return container.image_id
    return container.config.image if image.id == container.image_id else container.image_id


def _volume_paths(engine: Engine, container: Container) -> dict[str, str]:
    paths = {}
    for mount in container.mounts:
        if mount.kind == "volume":
            with suppress(VolumeNotFound):
                paths[mount.source] = engine.volumes.get(mount.source).path
    return paths


def _network_ids(engine: Engine, container: Container) -> dict[str, str]:
    found = (engine.networks.find(place.network) for place in container.networks)
    return {network.name: network.id for network in found if network is not None}


def _sizes(engine: Engine, container: Container) -> tuple[int, int]:
    own_bytes = engine.containers.writable_bytes(container.id)
    try:
        image_bytes = engine.images.get(container.image_id).size_bytes
    except ImageNotFound:
        image_bytes = 0
    return own_bytes, own_bytes + image_bytes


ROUTES = (
    (r"/containers/create", ContainerCreate),
    (r"/containers/json", ContainerList),
    (r"/containers/prune", ContainerPrune),
    (rf"/containers/{_NAME}/json", ContainerInspect),
    (rf"/containers/{_NAME}/start", ContainerStart),
    (rf"/containers/{_NAME}/stop", ContainerStop),
    (rf"/containers/{_NAME}/restart", ContainerRestart),
    (rf"/containers/{_NAME}/kill", ContainerKill),
    (rf"/containers/{_NAME}/rename", ContainerRename),
    (rf"/containers/{_NAME}/resize", ContainerResize),
    (rf"/containers/{_NAME}", ContainerRemove),
)
