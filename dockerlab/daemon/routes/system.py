"""Routes about the engine itself: ping, version, info and disk usage."""

from typing import Any

from dockerlab.daemon.handler import API_VERSION, MIN_API_VERSION, ApiHandler
from dockerlab.daemon.routes.containers import summaries
from dockerlab.daemon.shapes import image as image_shape
from dockerlab.daemon.shapes import system as shape
from dockerlab.daemon.shapes import volume as volume_shape
from dockerlab.engine.volume import Volume
from dockerlab.errors import InvalidArgument

__all__ = ["ROUTES"]

# Engine API, /system/df, `type`.
_KINDS = frozenset({"container", "image", "volume", "build-cache"})


class Ping(ApiHandler):
    """``GET`` and ``HEAD /_ping``."""

    def get(self) -> None:
        """Answer OK; the headers are what clients negotiate by."""
        # 1: the client is not to look for BuildKit here.
        self.set_header("Builder-Version", "1")
        self.set_header("Swarm", "inactive")
        self.set_header("Cache-Control", "no-cache, no-store, must-revalidate")
        self.set_header("Pragma", "no-cache")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(b"OK")

    def head(self) -> None:
        """Answer with the headers."""
        self.get()


class Version(ApiHandler):
    """``GET /version``."""

    def get(self) -> None:
        """Describe the engine."""
        facts = self.engine.system.info()
        self.write_json(
            shape.version(facts, api_version=API_VERSION, min_api_version=MIN_API_VERSION)
        )


class Info(ApiHandler):
    """``GET /info``."""

    def get(self) -> None:
        """Describe the engine and the host."""
        self.write_json(shape.info(self.engine.system.info()))


class DiskUsage(ApiHandler):
    """``GET /system/df``."""

    async def get(self) -> None:
        """List what takes space: images, the writable layers of containers, and volumes."""
        asked = set(self.get_query_arguments("type"))
        if unknown := asked - _KINDS:
            raise InvalidArgument(
                f'unknown object type "{min(unknown)}": known are {", ".join(sorted(_KINDS))}'
            )
        wanted = asked or _KINDS
        containers = self.engine.containers
        volumes = self.engine.volumes.list({}) if "volume" in wanted else []
        self.write_json(
            {
                **(self._images() if "image" in wanted else {"LayersSize": 0, "Images": []}),
                "Containers": summaries(
                    self.engine,
                    containers.list(include_stopped=True, limit=0, filters={})
                    if "container" in wanted
                    else [],
                    with_sizes=True,
                ),
                "Volumes": [await self._usage(volume) for volume in volumes],
                "BuildCache": [],
            }
        )

    def _images(self) -> dict[str, Any]:
        images = self.engine.images
        shared = images.shared_bytes()
        return {
            "LayersSize": images.layers_bytes(),
            "Images": [
                image_shape.summary(
                    image,
                    container_count=images.container_count(image),
                    shared_bytes=shared.get(image.id, 0),
                )
                for image in images.list(include_intermediate=True, filters={})
            ],
        }

    async def _usage(self, volume: Volume) -> dict[str, Any]:
        users = self.engine.containers.list(
            include_stopped=True, limit=0, filters={"volume": [volume.name]}
        )
        size_bytes = await self.engine.volumes.size_bytes(volume.name)
        usage = {"Size": size_bytes, "RefCount": len(users)}
        return volume_shape.volume(volume) | {"UsageData": usage}


ROUTES = (
    (r"/_ping", Ping),
    (r"/version", Version),
    (r"/info", Info),
    (r"/system/df", DiskUsage),
)
