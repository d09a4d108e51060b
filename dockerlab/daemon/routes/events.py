"""The stream of events."""

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.jsonstream import Stream, closing
from dockerlab.daemon.query import parse_moment
from dockerlab.daemon.shapes.event import event_line

__all__ = ["ROUTES"]


class Events(ApiHandler):
    """``GET /events``."""

    async def get(self) -> None:
        """Write one line of JSON an event, until `until` or until the client goes."""
        query = self.query
        # Here, unlike for logs, 0 is a moment: all that is recorded.
        begin = query.text("since")
        since = parse_moment(begin) if begin else None
        until, filters = query.moment("until"), query.filters()
        self.set_header("Content-Type", "application/json")

        async def copy() -> None:
            """Write the events as they come."""
            stream = Stream(self)
            await stream.begin()
            found = self.engine.events.stream(since=since, until=until, filters=filters)
            async with closing(found) as events:
                async for event in events:
                    await stream.write_json(event_line(event))

        await self.while_connected(copy())


ROUTES = ((r"/events", Events),)
