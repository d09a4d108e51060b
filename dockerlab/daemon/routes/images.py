"""Routes of images: list, inspect, history, tag, remove. How they come and go is `transfers`."""

from http import HTTPStatus

from dockerlab.daemon.handler import ApiHandler
from dockerlab.daemon.shapes import image as shape
from dockerlab.errors import InvalidArgument

__all__ = ["ROUTES"]

_NAME = r"(?P<name>.+)"


class ImageList(ApiHandler):
    """``GET /images/json``."""

    def get(self) -> None:
        """List images, newest first."""
        query = self.query
        filters = query.filters()
        name = query.text("filter")
        if name:  # until 1.40 (Engine API, version history)
            filters["reference"] = [name]
        images = self.engine.images.list(include_intermediate=query.boolean("all"), filters=filters)
        shared = self.engine.images.shared_bytes() if query.boolean("shared-size") else {}
        self.write_json(
            [
                shape.summary(image, container_count=-1, shared_bytes=shared.get(image.id, -1))
                for image in images
            ]
        )


class ImageInspect(ApiHandler):
    """``GET /images/{name}/json``."""

    def get(self, name: str) -> None:
        """Describe one image."""
        self.write_json(shape.inspection(self.engine.images.get(name)))


class ImageHistory(ApiHandler):
    """``GET /images/{name}/history``."""

    def get(self, name: str) -> None:
        """List how its layers came to be, newest first."""
        self.write_json([shape.history_line(line) for line in self.engine.images.history(name)])


class ImageTag(ApiHandler):
    """``POST /images/{name}/tag``."""

    async def post(self, name: str) -> None:
        """Give it one more reference."""
        query = self.query
        repository = query.text("repo")
        if not repository:
            raise InvalidArgument('the parameter "repo" is missing: it names the new repository')
        await self.engine.images.tag(name, repository, query.text("tag") or "latest")
        self.set_status(HTTPStatus.CREATED)


class ImageRemove(ApiHandler):
    """``DELETE /images/{name}``."""

    async def delete(self, name: str) -> None:
        """Untag it, and delete it with its last reference."""
        query = self.query
        removed = await self.engine.images.remove(
            name, force=query.boolean("force"), prune=not query.boolean("noprune")
        )
        self.write_json([shape.removal(line) for line in removed])


class ImagePrune(ApiHandler):
    """``POST /images/prune``."""

    async def post(self) -> None:
        """Remove images that no container has."""
        done = await self.engine.images.prune(self.query.filters())
        removed = [shape.removal(line) for line in done.removals]
        self.write_json({"ImagesDeleted": removed or None, "SpaceReclaimed": done.freed_bytes})


ROUTES = (
    (r"/images/json", ImageList),
    (r"/images/prune", ImagePrune),
    (rf"/images/{_NAME}/json", ImageInspect),
    (rf"/images/{_NAME}/history", ImageHistory),
    (rf"/images/{_NAME}/tag", ImageTag),
    (rf"/images/{_NAME}", ImageRemove),
)
