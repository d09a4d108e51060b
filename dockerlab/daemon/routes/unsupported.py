"""Routes of the Engine API that this version does not do: 501 with a sentence, not 404."""

from dockerlab.daemon.handler import ApiHandler
from dockerlab.errors import Unsupported

__all__ = ["ROUTES"]

_CONTAINER_VERBS = "attach/ws|checkpoints|copy"
_TREES = "services|tasks|nodes|secrets|configs|plugins|swarm|distribution"


class UnsupportedHandler(ApiHandler):
    """Refuses; `what` is the operation in a user's words."""

    def get(self, what: str, **_: str) -> None:
        """Refuse.

        Raises
        ------
        Unsupported
            Always.
        """
        raise Unsupported(f'"{what}" is not supported by this version of dockerlab')

    def post(self, what: str, **_: str) -> None:
        """Refuse."""
        self.get(what)

    def put(self, what: str, **_: str) -> None:
        """Refuse."""
        self.get(what)

    def head(self, what: str, **_: str) -> None:
        """Refuse."""
        self.get(what)

    def delete(self, what: str, **_: str) -> None:
        """Refuse."""
        self.get(what)


# These stand before the routes with a name in the same place, so that "search" is no image.
ROUTES = (
    (rf"/containers/[^/]+/(?P<what>{_CONTAINER_VERBS})", UnsupportedHandler),
    (r"/(?P<what>session|grpc)", UnsupportedHandler),
    (r"/(?P<what>build/prune|build/cancel)", UnsupportedHandler),
    (rf"/(?P<what>{_TREES})(?:/.*)?", UnsupportedHandler),
)
