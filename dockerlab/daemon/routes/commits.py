"""The route that makes an image of a container."""

from http import HTTPStatus

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.shapes.creation import CreateBody, commit_config
from dockerlab.engine.image import CommitRequest
from dockerlab.errors import InvalidArgument

__all__ = ["ROUTES"]


class Commit(ApiHandler):
    """``POST /commit``."""

    async def post(self) -> None:
        """Make an image of what a container has changed."""
        query = self.query
        container = query.text("container")
        if not container:
            raise InvalidArgument('the parameter "container" is missing: it names the container')
        body = CreateBody()
        if self.request.body.strip() not in (b"", b"null"):
            body = self.read_json(CreateBody)
        lines = [line for text in query.texts("changes") for line in text.split("\n")]
        image = await self.engine.commits.commit(
            CommitRequest(
                container=container,
                repository=query.text("repo"),
                tag=query.text("tag"),
                author=query.text("author"),
                message=query.text("comment"),
                changes=tuple(lines),
                pauses=query.boolean("pause", default=True),
                config=None if body == CreateBody() else commit_config(body),
            )
        )
        self.write_json({"Id": image.id}, HTTPStatus.CREATED)


ROUTES = ((r"/commit", Commit),)
