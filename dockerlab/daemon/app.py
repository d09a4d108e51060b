"""The table of route tables, and the application made from it.

The tables themselves are in `routes`, one a resource.
"""

from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from dockerlab.daemon.handler import NotFoundHandler, Services
from dockerlab.daemon.hijack import HijackHandler, hold_for_hijack
from dockerlab.daemon.routes import (
    archive,
    builds,
    commits,
    containers,
    dockerlab,
    events,
    images,
    networks,
    registries,
    resources,
    stats,
    streams,
    system,
    transfers,
    unsupported,
    volumes,
)
from dockerlab.daemon.routes import (
    exec as execs,
)

__all__ = ["DaemonApplication", "make_app"]

# Engine API, "Versioning": every path may begin with the version that the client speaks.
_VERSION = r"(?:/v(?P<version>[0-9.]+))?"

_TABLES = (
    system.ROUTES,
    unsupported.ROUTES,
    containers.ROUTES,
    streams.ROUTES,
    execs.ROUTES,
    transfers.ROUTES,
    images.ROUTES,
    events.ROUTES,
    networks.ROUTES,
    volumes.ROUTES,
    archive.ROUTES,
    builds.ROUTES,
    registries.ROUTES,
    dockerlab.ROUTES,
    resources.ROUTES,
    stats.ROUTES,
    commits.ROUTES,
)


class DaemonApplication(Application):
    """Tornado's application, which learns early that a request is going to be hijacked."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Find the handler as Tornado does.

        This runs right behind the request's head, before the loop can see the end of the client's
        input: from here on the connection must not be closed for that.
        """
        delegate = super().find_handler(request, **kwargs)
        if issubclass(delegate.handler_class, HijackHandler):
            hold_for_hijack(request)
        return delegate


def make_app(services: Services) -> DaemonApplication:
    """Return the application that serves the Engine API from `services`."""
    given = {"services": services}
    return DaemonApplication(
        [(_VERSION + path, handler, given) for table in _TABLES for path, handler in table],
        default_handler_class=NotFoundHandler,
        default_handler_args=given,
        log_function=_log_nothing,
    )


def _log_nothing(_handler: RequestHandler) -> None:
    """Write no access log: `handler.log_exception` tells what went wrong."""
