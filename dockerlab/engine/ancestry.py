"""Which image was made of which by a step of a build: what the cache of builds knows."""

from collections import Counter
from collections.abc import Container

from dockerlab.engine.database import Database, StepRow
from dockerlab.oci.digest import Digest

__all__ = ["Ancestry"]


class Ancestry:
    """The steps of all builds, in memory, with the database behind."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._steps: dict[Digest, StepRow] = {}
        # How many images were made of each; a Counter drops nothing by itself.
        self.parents: Counter[str] = Counter()

    def load(self, known: Container[Digest]) -> None:
        """Read the database; steps of images that are gone are left out."""
        for step in self._database.steps():
            if step.image_id in known:
                self._note(step)

    def parent(self, image_id: Digest) -> str:
        """Return the id of the image that an image was made of, '' for none."""
        step = self._steps.get(image_id)
        return step.parent_id if step else ""

    def is_made(self, image_id: Digest) -> bool:
        """Tell whether a build has made the image."""
        return image_id in self._steps

    def find(self, parent_id: str, key: str) -> list[Digest]:
        """Return the images that a step has made of an image."""
        return [
            s.image_id for s in self._steps.values() if (s.parent_id, s.key) == (parent_id, key)
        ]

    def add(self, image_id: Digest, parent_id: str, key: str) -> None:
        """Note a step."""
        self.forget(image_id)
        step = StepRow(image_id, parent_id, key)
        self._database.save_step(step)
        self._note(step)

    def forget(self, image_id: Digest) -> None:
        """Forget how an image was made; the database does with the image."""
        step = self._steps.pop(image_id, None)
        if step is not None:
            self.parents[step.parent_id] -= 1
            if not self.parents[step.parent_id]:
                del self.parents[step.parent_id]

    def _note(self, step: StepRow) -> None:
        self._steps[step.image_id] = step
        self.parents[step.parent_id] += 1
