"""The steps of a build as images: found in the cache, or made and kept. One image a step.

What Docker's classic builder calls cache is the images themselves: a step is done when the same
step was done before on the same image. `Stage` is where a build stands in one of its stages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from dockerlab.engine.build import Tell
from dockerlab.engine.buildargs import BuildArguments
from dockerlab.engine.buildconfig import variables_of
from dockerlab.engine.image import Image
from dockerlab.engine.images import Images
from dockerlab.engine.keeping import Keeper
from dockerlab.image.registry.download import PulledLayer
from dockerlab.oci.digest import short
from dockerlab.oci.imageconfig import History, ImageConfig, RootFS, RunConfig
from dockerlab.oci.platform import Platform

__all__ = ["Stage", "Step", "Steps"]

_SECOND_NS = 10**9


@dataclass(slots=True, kw_only=True)
class Stage:
    """Where a build stands in a stage.

    Attributes
    ----------
    image : Image or None
        What the last step has made; None for ``scratch``.
    config : RunConfig
        Its config, with what the step that goes on has changed.
    has_cmd : bool
        A CMD of this stage was seen.
    is_cached : bool
        Every step so far was found in the cache; behind the first that was not, none is.
    """

    image: Image | None
    config: RunConfig
    arguments: BuildArguments
    platform: Platform
    author: str = ""
    has_cmd: bool = False
    is_cached: bool = True

    @property
    def variables(self) -> dict[str, str]:
        """What ``$name`` means; the environment is stronger than arguments."""
        return {**self.arguments.values, **variables_of(self.config)}

    @property
    def parent_id(self) -> str:
        """The id of the image, '' for ``scratch``."""
        return self.image.id if self.image else ""


@dataclass(frozen=True, slots=True)
class Step:
    """What a step is known by: its line in the history, and what else makes a difference."""

    line: str
    more: str = ""

    @property
    def key(self) -> str:
        """What is compared."""
        return f"{self.line}\0{self.more}" if self.more else self.line


class Steps:
    """Finds steps and keeps new ones.

    Parameters
    ----------
    sources : sequence of Image
        The images of ``--cache-from``; with any, only what they have is used again.
    epoch_s : int, optional
        The time of all that is made, in seconds (SOURCE_DATE_EPOCH); else the present one.
    """

    def __init__(
        self,
        images: Images,
        keeper: Keeper,
        tell: Tell,
        *,
        uses_cache: bool,
        sources: Sequence[Image] = (),
        epoch_s: int | None = None,
    ) -> None:
        self._images = images
        self._keeper = keeper
        self._tell = tell
        self._uses_cache = uses_cache
        self._sources = sources
        self._epoch_s = epoch_s

    @property
    def latest_ns(self) -> int | None:
        """The latest time that a file of a layer may have."""
        return None if self._epoch_s is None else self._epoch_s * _SECOND_NS

    async def use(self, stage: Stage, step: Step) -> bool:
        """Go on from the image that the same step has made before; tell whether there is one."""
        if not (self._uses_cache and stage.is_cached):
            return False
        image = await self._find(stage, step)
        if image is None:
            stage.is_cached = False
            return False
        stage.image = image
        stage.config = image.config.config or RunConfig()
        await self._tell(f" ---> Using cache\n ---> {short(image.id)}\n")
        return True

    async def keep(self, stage: Stage, step: Step, layer: PulledLayer | None = None) -> None:
        """Make an image of the stage's config and the layer, and go on from it."""
        stage.image = await self._make(stage, step, layer)
        await self._tell(f" ---> {short(stage.image.id)}\n")

    async def _find(self, stage: Stage, step: Step) -> Image | None:
        key = self._key(step)
        if not self._sources:
            return self._images.find_step(stage.parent_id, key)
        for source in self._sources:
            layer = self._layer_of(source, stage.image, step)
            if layer is not None:
                return await self._make(stage, step, layer[0])
        return None

    def _layer_of(
        self, source: Image, image: Image | None, step: Step
    ) -> tuple[PulledLayer | None] | None:
        """Return the layer that an image has for the step, where it was made in the same way."""
        ours = _history(image)
        theirs = _history(source)
        if len(theirs) <= len(ours) or theirs[: len(ours)] != ours:
            return None
        following = theirs[len(ours)]
        count = sum(not is_empty for _, is_empty in ours)
        diff_ids = image.config.rootfs.diff_ids if image else ()
        if following[0] != step.line or source.config.rootfs.diff_ids[:count] != diff_ids:
            return None
        return (None if following[1] else self._keeper.layers_of(source)[count],)

    def _key(self, step: Step) -> str:
        return step.key if self._epoch_s is None else f"{step.key}\0{self._epoch_s}"

    async def _make(self, stage: Stage, step: Step, layer: PulledLayer | None) -> Image:
        base = stage.image.config if stage.image else _empty(stage.platform)
        now = _moment(self._epoch_s)
        line = History(
            created=now,
            created_by=step.line,
            author=stage.author or base.author,
            empty_layer=layer is None,
        )
        diff_ids = base.rootfs.diff_ids
        history = base.history or (History(created=base.created),) * len(diff_ids)
        config = msgspec.structs.replace(
            base,
            created=now,
            author=stage.author or base.author,
            config=stage.config,
            rootfs=RootFS(diff_ids=(*diff_ids, *([layer.diff_id] if layer else []))),
            history=(*history, line),
        )
        below = self._keeper.layers_of(stage.image) if stage.image else ()
        layers = (*below, *([layer] if layer else []))
        image = await self._keeper.keep(msgspec.json.encode(config), layers)
        self._images.note_step(image, stage.parent_id, self._key(step))
        return self._images.get(image.id)


def _empty(platform: Platform) -> ImageConfig:
    return ImageConfig(
        architecture=platform.architecture,
        os=platform.os or "linux",
        variant=platform.variant or None,
    )


def _history(image: Image | None) -> list[tuple[str, bool]]:
    """Return lines and whether they have no layer."""
    if image is None:
        return []
    return [(line.created_by or "", line.empty_layer) for line in image.config.history or ()]


def _moment(epoch_s: int | None) -> str:
    moment = datetime.now(UTC) if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)
    return moment.isoformat().replace("+00:00", "Z")
