"""Routes of networks: the two that need no bridge."""

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.shapes import network as shape
from dockerlab.errors import NotFound

__all__ = ["ROUTES"]


class Networks(ApiHandler):
    """``GET /networks``."""

    def get(self) -> None:
        """List the networks, narrowed by the filters `name`, `id` and `driver`."""
        filters = self.query.filters()
        names, ids = filters.get("name", [""]), filters.get("id", [""])
        self.write_json(
            [
                shape.network(name, None)
                for name, driver in sorted(shape.NETWORKS.items())
                if any(part in name for part in names)
                and any(shape.network_id(name).startswith(part) for part in ids)
                and driver in filters.get("driver", [driver])
            ]
        )


class Network(ApiHandler):
    """``GET /networks/{id}``."""

    def get(self, name: str) -> None:
        """Describe one network, by its name or the beginning of its id."""
        for known in shape.NETWORKS:
            if name == known or shape.network_id(known).startswith(name):
                running = self.engine.containers.list(
                    include_stopped=False, limit=0, filters={"network": [known]}
                )
                self.write_json(shape.network(known, running))
                return
        raise NotFound(f"network {name} not found")


ROUTES = (
    (r"/networks", Networks),
    (r"/networks/(?P<name>[^/]+)", Network),
)
