"""Routes of networks."""

from http import HTTPStatus

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.shapes import network as shape
from dockerlab.daemon.shapes.network import ConnectBody, DisconnectBody, NetworkBody

__all__ = ["ROUTES"]

_NAME = r"(?P<name>[^/]+)"


class NetworkList(ApiHandler):
    """``GET /networks``."""

    def get(self) -> None:
        """List networks, by name."""
        networks = self.engine.networks.list(self.query.filters())
        self.write_json([shape.network(network, None) for network in networks])


class NetworkInspect(ApiHandler):
    """``GET`` and ``DELETE /networks/{id}``."""

    def get(self, name: str) -> None:
        """Describe one network with the containers on it."""
        network = self.engine.networks.get(name)
        self.write_json(shape.network(network, self.engine.networks.members(network)))

    async def delete(self, name: str) -> None:
        """Remove it; nobody may be on it."""
        await self.engine.networks.remove(name)
        self.write_nothing()


class NetworkCreate(ApiHandler):
    """``POST /networks/create``."""

    async def post(self) -> None:
        """Make a network."""
        wanted = shape.wanted_network(self.read_json(NetworkBody))
        network = await self.engine.networks.create(wanted)
        self.write_json({"Id": network.id, "Warning": ""}, HTTPStatus.CREATED)


class NetworkConnect(ApiHandler):
    """``POST /networks/{id}/connect``."""

    async def post(self, name: str) -> None:
        """Put a container on the network, running or not."""
        body = self.read_json(ConnectBody)
        settings = shape.endpoint_settings(name, body.endpoint_config)
        await self.engine.networks.connect(name, body.container, settings)
        self.set_status(HTTPStatus.OK)


class NetworkDisconnect(ApiHandler):
    """``POST /networks/{id}/disconnect``."""

    async def post(self, name: str) -> None:
        """Take a container off the network."""
        body = self.read_json(DisconnectBody)
        await self.engine.networks.disconnect(name, body.container, force=bool(body.force))
        self.set_status(HTTPStatus.OK)


class NetworkPrune(ApiHandler):
    """``POST /networks/prune``."""

    async def post(self) -> None:
        """Remove all networks that no container is on."""
        deleted = await self.engine.networks.prune(self.query.filters())
        self.write_json({"NetworksDeleted": deleted or None})


# "create" and "prune" stand before the routes with a name in the same place.
ROUTES = (
    (r"/networks", NetworkList),
    (r"/networks/create", NetworkCreate),
    (r"/networks/prune", NetworkPrune),
    (rf"/networks/{_NAME}/connect", NetworkConnect),
    (rf"/networks/{_NAME}/disconnect", NetworkDisconnect),
    (rf"/networks/{_NAME}", NetworkInspect),
)
