"""Routes about the engine itself: ping, version, info and disk usage."""

from typing import Any

from dockerlab.daemon.handler import API_VERSION, MIN_API_VERSION, ApiHandler
from dockerlab.daemon.routes.containers import summaries
from dockerlab.daemon.shapes import image as image_shape
from dockerlab.daemon.shapes import system as shape
from dockerlab.daemon.shapes import volume as volume_shape
from dockerlab.engine.volume import Volume

__all__ = ["ROUTES"]


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
        images = self.engine.images.list(include_intermediate=True, filters={})
        count = self.engine.images.container_count
        self.write_json(
            {
                # At most: images that share some of their layers are not told apart here.
                "LayersSize": sum(
                    {image.config.rootfs.diff_ids: image.size_bytes for image in images}.values()
                ),
                "Images": [
                    image_shape.summary(image, container_count=count(image)) for image in images
                ],
                "Containers": summaries(
                    self.engine,
                    self.engine.containers.list(include_stopped=True, limit=0, filters={}),
                    with_sizes=True,
                ),
                "Volumes": [await self._usage(volume) for volume in self.engine.volumes.list({})],
                "BuildCache": [],
            }
        )

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
