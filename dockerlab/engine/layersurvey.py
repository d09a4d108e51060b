"""Looking into an image: what each layer does, read from the store by a child of the zygote."""

from dockerlab.engine.asking import Answers
from dockerlab.engine.image import Image, ImageLayer, ImageLayers, WastedPath
from dockerlab.engine.images import Images, parse_time
from dockerlab.engine.spawner import Spawner
from dockerlab.image.layers import LayerStore
from dockerlab.oci.imageconfig import History

__all__ = ["LayerSurvey"]


class LayerSurvey:
    """Compares the layers of images.

    Parameters
    ----------
    has_archive_marks : bool
        The layers were unpacked without privileges: their whiteouts are files.
    """

    def __init__(
        self, images: Images, layers: LayerStore, spawner: Spawner, *, has_archive_marks: bool
    ) -> None:
        self._images = images
        self._layers = layers
        self._spawner = spawner
        self._has_archive_marks = has_archive_marks

    async def look_into(self, name: str) -> ImageLayers:
        """Return what each layer adds, changes, deletes and wastes; see `ImageLayer`.

        Raises
        ------
        ImageNotFound
            There is no such image.
        EngineFailure
            A layer cannot be read, or went away meanwhile.
        """
        image = self._images.get(name)
        diff_ids = self._images.layers_of(image)
        args = {
            "layers": [str(self._layers.path(diff_id)) for diff_id in diff_ids],
            "has_archive_marks": self._has_archive_marks,
        }
        answers = Answers(self._spawner, "survey_layers", args, ())
        try:
            found = await answers.next_json()
        finally:
            answers.close()
        lines = _instructions(image, len(diff_ids))
        return ImageLayers(
            id=image.id,
            layers=tuple(
                ImageLayer(
                    index=index,
                    diff_id=diff_id,
                    created_at=parse_time(line.created),
                    instruction=line.created_by or "",
                    **counts,
                )
                for index, (diff_id, line, counts) in enumerate(
                    zip(diff_ids, lines, found["layers"], strict=True)
                )
            ),
            wasted=tuple(WastedPath(**each) for each in found["wasted"]),
        )


def _instructions(image: Image, count: int) -> list[History]:
    """Return a line of the history for each layer; blank ones where it does not say so many."""
    lines = [line for line in image.config.history or () if not line.empty_layer]
    return (lines + [History(created=image.config.created)] * count)[:count]
