"""Routes of volumes."""

from http import HTTPStatus

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.shapes import volume as shape
from dockerlab.engine.volume import check_volume_name
from dockerlab.errors import Unsupported

__all__ = ["ROUTES"]

# Since then a prune takes the anonymous ones, and by a filter all (Engine API, version history).
_NARROW_PRUNE_SINCE = "1.42"


class Volumes(ApiHandler):
    """``GET /volumes``."""

    def get(self) -> None:
        """List the volumes that the filters admit."""
        found = self.engine.volumes.list(self.query.filters())
        self.write_json({"Volumes": [shape.volume(record) for record in found], "Warnings": None})


class VolumeCreate(ApiHandler):
    """``POST /volumes/create``."""

    def post(self) -> None:
        """Make a volume."""
        body = self.read_json(shape.CreateBody)
        if body.cluster_volume_spec:
            raise Unsupported("cluster volumes are not supported by this version of dockerlab")
        made = self.engine.volumes.create(
            check_volume_name(body.name) if body.name else "",
            driver=body.driver or "",
            labels=body.labels or {},
            options=body.driver_opts or {},
        )
        self.write_json(shape.volume(made), HTTPStatus.CREATED)


class VolumePrune(ApiHandler):
    """``POST /volumes/prune``."""

    async def post(self) -> None:
        """Delete the volumes that no container has."""
        filters = self.query.filters()
        if not self.is_at_least(_NARROW_PRUNE_SINCE):
            filters["all"] = ["true"]
        pruned = await self.engine.volumes.prune(filters)
        self.write_json(
            {"VolumesDeleted": list(pruned.names) or None, "SpaceReclaimed": pruned.freed_bytes}
        )


class Volume(ApiHandler):
    """``GET`` and ``DELETE /volumes/{name}``."""

    def get(self, name: str) -> None:
        """Describe one volume."""
        self.write_json(shape.volume(self.engine.volumes.get(name)))

    async def delete(self, name: str) -> None:
        """Delete it with its files."""
        await self.engine.volumes.remove(name, force=self.query.boolean("force"))
        self.write_nothing()


ROUTES = (
    (r"/volumes", Volumes),
    (r"/volumes/create", VolumeCreate),
    (r"/volumes/prune", VolumePrune),
    (r"/volumes/(?P<name>[^/]+)", Volume),
)
