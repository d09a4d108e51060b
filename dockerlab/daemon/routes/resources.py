"""Routes of what containers may use: update, pause, unpause, top. What they use is `stats`."""

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.shapes.limits import UpdateBody, changes

__all__ = ["ROUTES"]

_NAME = r"(?P<name>[^/]+)"


class ContainerUpdate(ApiHandler):
    """``POST /containers/{id}/update``."""

    async def post(self, name: str) -> None:
        """Change its limits."""
        wanted = changes(self.read_json(UpdateBody))
        warnings = await self.engine.resources.update(name, wanted)
        self.write_json({"Warnings": warnings or None})


class ContainerPause(ApiHandler):
    """``POST /containers/{id}/pause``."""

    async def post(self, name: str) -> None:
        """Stop its processes where they are."""
        await self.engine.resources.pause(name)
        self.write_nothing()


class ContainerUnpause(ApiHandler):
    """``POST /containers/{id}/unpause``."""

    def post(self, name: str) -> None:
        """Let its processes go on."""
        self.engine.resources.unpause(name)
        self.write_nothing()


class ContainerTop(ApiHandler):
    """``GET /containers/{id}/top``."""

    async def get(self, name: str) -> None:
        """List its processes."""
        table = await self.engine.resources.top(name, self.query.text("ps_args"))
        self.write_json({"Titles": table.titles, "Processes": table.rows})


ROUTES = (
    (rf"/containers/{_NAME}/update", ContainerUpdate),
    (rf"/containers/{_NAME}/pause", ContainerPause),
    (rf"/containers/{_NAME}/unpause", ContainerUnpause),
    (rf"/containers/{_NAME}/top", ContainerTop),
)
