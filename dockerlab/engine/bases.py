"""The images that a build begins from or copies from: in the store, or pulled."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from dockerlab.engine.build import Tell
from dockerlab.engine.image import Image
from dockerlab.engine.images import Images
from dockerlab.engine.merging import check_platform
from dockerlab.engine.pulls import Pulls
from dockerlab.engine.registry import Credential
from dockerlab.errors import ImageNotFound, NotFound
from dockerlab.image.progress import PullProgress
from dockerlab.oci.reference import DOCKER_HUB, is_image_id, parse_reference

__all__ = ["Bases"]

# Lines of a pull that wait for a slow client; numbers that are older than this many are dropped.
_MAX_WAITING = 256
_DOCKER_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "")


@dataclass(frozen=True, slots=True)
class Bases:
    """Finds images for one build.

    Parameters
    ----------
    always_pulls : bool
        Also what is in the store.
    credentials : mapping
        By registry, as clients write it.
    """

    images: Images
    pulls: Pulls
    tell: Tell
    always_pulls: bool
    credentials: Mapping[str, Credential]

    async def find(self, name: str, platform: str) -> Image:
        """Return an image, pulled where it is missing or for another platform.

        Raises
        ------
        NotFound, Unauthorized, RegistryUnreachable
            The registry has it not, gives it not, or is not there.
        """
        try:
            image = self.images.get(name)
            check_platform(image, name, platform)
        except NotFound:
            if is_image_id(name) and name.startswith("sha256:"):
                raise
        else:
            if not self.always_pulls or is_image_id(name):
                return image
        await self._pull(name, platform)
        image = self.images.get(name)
        check_platform(image, name, platform)
        return image

    def find_here(self, name: str) -> Image | None:
        """Return an image of the store, None when it is not there."""
        try:
            return self.images.get(name)
        except ImageNotFound:
            return None

    async def _pull(self, name: str, platform: str) -> None:
        lines: asyncio.Queue[PullProgress | None] = asyncio.Queue()

        def emit(line: PullProgress) -> None:
            """Keep a line for the client; of numbers that it is too slow for, newer ones come."""
            if line.current is None or lines.qsize() < _MAX_WAITING:
                lines.put_nowait(line)

        reference = parse_reference(name)
        registry = reference.registry
        keys = _DOCKER_HUB_KEYS if registry == DOCKER_HUB else (registry, f"https://{registry}")
        credential = next((self.credentials[key] for key in keys if key in self.credentials), None)
        pulling = asyncio.ensure_future(
            self.pulls.pull(name, platform=platform, emit=emit, credential=credential)
        )
        pulling.add_done_callback(lambda _: lines.put_nowait(None))
        try:
            while (line := await lines.get()) is not None:
                await self.tell(line)
            await pulling
        finally:
            pulling.cancel()
