"""Repositories of images that are made of this machine's programs, each at its first pull.

A made image stays for as long as the hub does; a new hub makes it again, so that it follows the
machine. Also the way to serve several `Repositories` as one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from dockerlab.hub.fromhost import TOOLS, Recipe, plan, python_program
from dockerlab.hub.pack import StoredImage, pack
from dockerlab.hub.server import Repositories
from dockerlab.oci.descriptor import Descriptor
from dockerlab.oci.digest import Digest

__all__ = ["HostRepositories", "JoinedRepositories", "make_image", "tools_recipes"]

_TITLE = "org.opencontainers.image.title"
_DESCRIPTION = "org.opencontainers.image.description"


class HostRepositories:
    """Images by repository and tag, as `hub.server.Repositories`.

    Parameters
    ----------
    recipes : Mapping
        Repository -> tag -> what it is made of.
    folder : Path
        For the layers; it is made when it is needed, and the caller removes it.
    title : str
        In the images' labels, in place of the repository's name.
    """

    def __init__(
        self, recipes: Mapping[str, Mapping[str, Recipe]], folder: Path, title: str = ""
    ) -> None:
        self._recipes = recipes
        self._folder = folder
        self._title = title
        self._made: dict[tuple[str, str], StoredImage] = {}
        self._making = asyncio.Lock()

    def names(self) -> list[str]:
        """Return the names of all repositories."""
        return list(self._recipes)

    def tags(self, name: str) -> list[str]:
        """Return the tags of a repository; none when there is no such repository."""
        return list(self._recipes.get(name, ()))

    async def manifest(self, name: str, reference: str) -> Descriptor | None:
        """Describe the manifest or index of a tag or a digest; what is asked for is made.

        Raises
        ------
        NotFound
            This machine lacks what the image is made of.
        EngineFailure
            The image could not be made.
        """
        if reference in self.tags(name):
            return (await self.image(name, reference)).image.index
        # A digest that was given away before this hub began: make what it may be of.
        for tag in self.tags(name):
            made = await self.image(name, tag)
            if found := made.image.manifests.get(Digest(reference)):
                return found
        return None

    async def image(self, name: str, tag: str) -> StoredImage:
        """Return the image of a tag that is there, made in a thread when it is not made yet."""
        async with self._making:
            if (name, tag) not in self._made:
                recipe = self._recipes[name][tag]
                title = self._title or name
                made = await asyncio.to_thread(make_image, recipe, self._folder, title=title)
                self._made[name, tag] = made
            return self._made[name, tag]

    def content(self, name: str, digest: Digest) -> bytes | None:
        """Return a manifest's or a blob's bytes, of an image that was made."""
        made = (image for (owner, _), image in self._made.items() if owner == name)
        return next(filter(None, (image.content(digest) for image in made)), None)


class JoinedRepositories:
    """Several repositories as one; of those with the same name the first is served."""

    def __init__(self, *parts: Repositories) -> None:
        self._parts = parts

    def names(self) -> list[str]:
        """Return the names of all repositories."""
        return [name for part in self._parts for name in part.names()]

    def tags(self, name: str) -> Sequence[str]:
        """Return the tags of a repository; none when there is no such repository."""
        part = self._part(name)
        return part.tags(name) if part else []

    async def manifest(self, name: str, reference: str) -> Descriptor | None:
        """Describe the manifest or index of a tag or a digest; raises as its part does."""
        part = self._part(name)
        return await part.manifest(name, reference) if part else None

    def content(self, name: str, digest: Digest) -> bytes | None:
        """Return a manifest's or a blob's bytes."""
        part = self._part(name)
        return part.content(name, digest) if part else None

    def _part(self, name: str) -> Repositories | None:
        return next((part for part in self._parts if name in part.names()), None)


def tools_recipes() -> dict[str, dict[str, Recipe]]:
    """Return the recipes of ``hub.localhost/tools`` and of its tag ``python``.

    They are made of the system's own folders: the user's PATH is never asked.
    """
    optional = ("busybox", *TOOLS)
    python = (python_program(),)
    return {
        "tools": {
            "latest": Recipe(optional=optional, required=("sh",)),
            "python": Recipe(programs=python, optional=optional, required=("sh",)),
        }
    }


def make_image(recipe: Recipe, folder: Path, *, title: str) -> StoredImage:
    """Find what the recipe asks for and make an image of it, with its layer in `folder`.

    Raises
    ------
    NotFound, InvalidArgument, EngineFailure
        As `fromhost.plan` and `pack.pack` do.
    """
    words = [*recipe.programs, *recipe.optional, *(f"--add {path}" for path in recipe.added)]
    labels = {
        _TITLE: title,
        _DESCRIPTION: "programs of the machine where it was made, with their libraries",
    }
    return pack(plan(recipe), folder, labels=labels, made_by=f"from-host {' '.join(words)}")
