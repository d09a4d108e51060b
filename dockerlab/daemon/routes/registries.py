"""Routes of registries: logging in, and what they said of limits."""

from typing import Any

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.shapes import registry as shape

__all__ = ["ROUTES"]


class Login(ApiHandler):
    """``POST /auth``."""

    async def post(self) -> None:
        """Show the registry the credentials; keeping them is the client's business."""
        members = self.read_json(dict[str, Any])
        await self.while_connected(self._log_in(members))

    async def _log_in(self, members: dict[str, Any]) -> None:
        token = await self.engine.registries.log_in(
            shape.server_address(members), shape.credential(members)
        )
        self.write_json(shape.login_answer(token))


class RateLimits(ApiHandler):
    """``GET /dockerlab/ratelimits``."""

    def get(self) -> None:
        """List what each registry said with its last manifest; the keys are `RateLimit`'s."""
        self.write_json(self.engine.registries.rate_limits())


ROUTES = (
    (r"/auth", Login),
    (r"/dockerlab/ratelimits", RateLimits),
)
