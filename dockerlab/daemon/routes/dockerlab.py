"""Routes of our own, for what the Engine API has no room for. No magic depends on them."""

from http import HTTPStatus

from dockerlab.daemon.handler import ApiHandler

__all__ = ["ROUTES"]


class Status(ApiHandler):
    """``GET /dockerlab/status``."""

    def get(self) -> None:
        """Describe the engine; the keys are the fields of `EngineInfo`."""
        self.write_json(self.engine.system.info())


class ContainerPhases(ApiHandler):
    """``GET /dockerlab/containers/{name}/phases``."""

    def get(self, name: str) -> None:
        """Give the phases of the container's last run."""
        self.write_json(self.engine.containers.phases(name))


class ImagePhases(ApiHandler):
    """``GET /dockerlab/images/{name}/phases``."""

    def get(self, name: str) -> None:
        """Give the phases of the last pull of this reference."""
        self.write_json(self.engine.pulls.phases(name))


class ImageLayers(ApiHandler):
    """``GET /dockerlab/images/{name}/layers``."""

    async def get(self, name: str) -> None:
        """Tell what each layer of an image does; the keys are those of `engine.image`."""
        self.write_json(await self.engine.layers.look_into(name))


class Shutdown(ApiHandler):
    """``POST /dockerlab/shutdown``."""

    def post(self) -> None:
        """End the daemon; containers go on."""
        self.write_json({}, HTTPStatus.OK)

    def on_finish(self) -> None:
        """Begin to end once the answer is on its way."""
        super().on_finish()
        if self.get_status() == HTTPStatus.OK:
            self.services.shut_down()


ROUTES = (
    (r"/dockerlab/status", Status),
    (r"/dockerlab/containers/(?P<name>[^/]+)/phases", ContainerPhases),
    (r"/dockerlab/images/(?P<name>.+)/phases", ImagePhases),
    (r"/dockerlab/images/(?P<name>.+)/layers", ImageLayers),
    (r"/dockerlab/shutdown", Shutdown),
)
