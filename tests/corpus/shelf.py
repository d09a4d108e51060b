"""Keep built images in a folder, so that a benchmark builds them once.

``<folder>/<name>-<version>/`` holds the compressed layers and ``image.json``; it appears by a
rename, so an interrupted build leaves nothing that looks whole.
"""

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.corpus.layers import BuiltLayer
from tests.corpus.recipes import RECIPES

__all__ = ["Shelf"]


class Shelf:
    """The folder of built images.

    Parameters
    ----------
    folder : Path
        Made when it is missing; removing it removes the whole cache.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build(self, name: str) -> tuple[Path, list[BuiltLayer]]:
        """Return the folder and the layers of an image, building it when it is not there.

        Raises
        ------
        RecipeUnavailable
            This host lacks what the image is made from.
        """
        recipe = RECIPES[name]
        kept = self._folder / f"{name}-{recipe.version}"
        if not kept.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=self._folder))
            try:
                layers = recipe.write(partial)
                document = json.dumps([asdict(layer) for layer in layers], indent=1)
                (partial / "image.json").write_text(document, encoding="utf-8")
                partial.rename(kept)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        documents = json.loads((kept / "image.json").read_text(encoding="utf-8"))
        return kept, [BuiltLayer(**document) for document in documents]
