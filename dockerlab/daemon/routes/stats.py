"""The route of what containers use: one sample, or one a second."""

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.jsonstream import Stream, closing
from dockerlab.daemon.shapes.stats import stats
from dockerlab.engine.container import Container
from dockerlab.errors import InvalidArgument

__all__ = ["ROUTES"]


class ContainerStats(ApiHandler):
    """``GET /containers/{id}/stats``."""

    async def get(self, name: str) -> None:
        """Write a sample a second; with `stream=0` one with its predecessor, `one-shot` without."""
        query = self.query
        is_one_shot = query.boolean("one-shot") and self.is_at_least("1.41")
        is_stream = query.boolean("stream", default=True)
        if is_stream and is_one_shot:
            raise InvalidArgument("cannot have stream=true and one-shot=true")
        container = self.engine.containers.get(name)
        self.set_header("Content-Type", "application/json")
        if is_stream:
            await self.while_connected(self._copy(container))
        elif is_one_shot or not container.state.pid:
            self.write_json(stats(await self.engine.resources.sample(container.id), None))
        else:
            await self.while_connected(self._write_second(container))

    async def _copy(self, container: Container) -> None:
        stream = Stream(self)
        await stream.begin()
        before = None
        async with closing(self.engine.resources.samples(container.id)) as samples:
            async for sample in samples:
                await stream.write_json(stats(sample, before))
                before = sample if sample.usage else None

    async def _write_second(self, container: Container) -> None:
        """Write the second sample: of the first alone no client can make percentages."""
        before = None
        async with closing(self.engine.resources.samples(container.id)) as samples:
            async for sample in samples:
                if before is not None or sample.usage is None:
                    self.write_json(stats(sample, before))
                    return
                before = sample
        # It was removed in between; this raises that it is not there.
        self.engine.containers.get(container.id)


ROUTES = ((r"/containers/(?P<name>[^/]+)/stats", ContainerStats),)
