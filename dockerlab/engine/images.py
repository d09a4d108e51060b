"""The keeper of images: which there are, under which names, and what may be deleted.

Pulling is `engine.pulls`; bytes and folders are `image.content` and `image.layers`.
"""

import asyncio
import builtins
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from dockerlab.engine.ancestry import Ancestry
from dockerlab.engine.container import Container
from dockerlab.engine.database import Database, ImageRow, NameRow
from dockerlab.engine.events import Events
from dockerlab.engine.filters import select_images
from dockerlab.engine.image import Image, ImageHistory, ImagePrune, ImageRemoval
from dockerlab.engine.imageprune import images_to_prune
from dockerlab.engine.imageusage import Layers, layers_bytes, shared_bytes
from dockerlab.engine.untagging import chain_ids, check_removal, names_to_drop
from dockerlab.errors import (
    BadReference,
    Conflict,
    DockerlabError,
    ImageNotFound,
    InvalidArgument,
)
from dockerlab.image.content import ContentStore
from dockerlab.image.layers import LayerStore
from dockerlab.oci.digest import Digest
from dockerlab.oci.imageconfig import MAX_CONFIG_BYTES, History, parse_image_config
from dockerlab.oci.reference import Reference, is_image_id, parse_reference

__all__ = ["Images", "parse_time"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str | None) -> datetime:
    """Parse RFC 3339; what is missing or not a time is the epoch, as in Docker's listings."""
    try:
        parsed = datetime.fromisoformat(text or "")
    except ValueError:
        return EPOCH
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


class Images:
    """All images of a data root, in memory, with the database behind."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        layers: LayerStore,
        events: Events,
        containers: Callable[[], Iterable[Container]],
    ) -> None:
        self._database = database
        self._content = content
        self._layers = layers
        self._events = events
        self._containers = containers
        self._images: dict[Digest, Image] = {}
        self._rows: dict[Digest, ImageRow] = {}
        self._names: dict[str, Digest] = {}
        self.ancestry = Ancestry(database)
        # Held while the set of images, and with it the set of needed layers, changes.
        self.lock = asyncio.Lock()

    def load(self) -> None:
        """Read the database; an image whose config was lost is forgotten with its names."""
        names = self._database.names()
        for row in self._database.images():
            if not self._content.has(row.id):
                self._database.delete_image(row.id)
                continue
            self._rows[row.id] = row
        self._names = {n.reference: n.image_id for n in names if n.image_id in self._rows}
        self.ancestry.load(self._rows)
        for image_id in self._rows:
            self._refresh(image_id)

    # Looking

    def list(
        self, *, include_intermediate: bool, filters: Mapping[str, Sequence[str]]
    ) -> builtins.list[Image]:
        """Newest first. What a build has made on the way, without a name, is intermediate."""
        images = sorted(self._images.values(), key=lambda image: image.created_at, reverse=True)
        if not include_intermediate:
            parents = self.ancestry.parents
            images = [image for image in images if image.tags or image.id not in parents]
        return select_images(images, filters, resolve=self.get)

    def get(self, name: str) -> Image:
        """Return the image that a reference, an id or the beginning of an id means."""
        return self._images[self._resolve(name)]

    def layers_of(self, image: Image) -> tuple[Digest, ...]:
        """Return the diffIDs of the image, lowest first."""
        return tuple(diff_id for diff_id, _ in self._rows[image.id].layers)

    def ids_named(self, name: str) -> frozenset[Digest]:
        """Return the ids that a name means: those of all tags of a repository, or the one image."""
        try:
            return frozenset({self._resolve(name)})
        except DockerlabError:
            prefix = f"{name}:"
            return frozenset(
                i.id for i in self._images.values() if any(t.startswith(prefix) for t in i.tags)
            )

    def blobs_of(self, image: Image) -> frozenset[Digest]:
        """Return the digests of everything that it is made of, in the store or not."""
        return self._rows[image.id].blobs

    def tags_of(self, repository: str) -> builtins.list[Reference]:
        """Return the tags of a repository, given in full, by name."""
        known = (parse_reference(full) for full in sorted(self._names))
        return [tag for tag in known if tag.name == repository and not tag.digest]

    def container_count(self, image: Image) -> int:
        """Return how many containers were made from it."""
        return sum(container.image_id == image.id for container in self._containers())

    def shared_bytes(self) -> dict[Digest, int]:
        """Return for every image the bytes of those of its layers that another image has too."""
        return shared_bytes(self._layers_by_image())

    def layers_bytes(self) -> int:
        """Return the bytes of all images' layers, each counted once."""
        return layers_bytes(self._layers_by_image())

    def named_blobs(self) -> set[Digest]:
        """Return the digests of the blobs that images need."""
        return {blob for row in self._rows.values() for blob in row.blobs}

    def _layers_by_image(self) -> dict[Digest, Layers]:
        return {row.id: row.layers for row in self._rows.values()}

    def history(self, name: str) -> builtins.list[ImageHistory]:
        """Return the lines of the config's history, newest first, with the layers' sizes."""
        image = self.get(name)
        sizes = [size for _, size in self._rows[image.id].layers]
        lines = list(image.config.history or (History(created=image.config.created),) * len(sizes))
        shown: list[ImageHistory] = []
        for line in lines:
            has_layer = not line.empty_layer and bool(sizes)
            shown.append(
                ImageHistory(
                    id="<missing>",
                    created_at=parse_time(line.created),
                    created_by=line.created_by or "",
                    size_bytes=sizes.pop(0) if has_layer else 0,
                    comment=line.comment or "",
                )
            )
        # A build makes an image of every line; of the others only the newest is one.
        for number, made in enumerate(self._line_of(image)[: len(shown)]):
            shown[-1 - number] = msgspec.structs.replace(
                shown[-1 - number], id=made.id, tags=made.tags
            )
        return shown[::-1]

    def _line_of(self, image: Image) -> builtins.list[Image]:
        """Return an image, that which it was made of, and so on."""
        line = [image]
        while (above := self._images.get(Digest(line[-1].parent))) is not None:
            line.append(above)
        return line

    # Changing

    def add(self, row: ImageRow, references: Iterable[Reference]) -> Image:
        """Store an image whose layers and blobs are in place, and point the references at it.

        One transaction: the image is there with all its names or not at all.
        """
        names = [NameRow(str(reference), row.id) for reference in references]
        with self._database.transaction():
            self._database.save_image(row)
            for name in names:
                self._database.save_name(name)
        known = self._rows.get(row.id)
        self._rows[row.id] = row._replace(blobs=row.blobs | known.blobs) if known else row
        touched = {row.id}
        for name in names:
            touched |= {self._names.get(name.reference, row.id)}
            self._names[name.reference] = row.id
        for image_id in touched:
            self._refresh(image_id)
        return self._images[row.id]

    async def point(self, reference: Reference, image: Image) -> None:
        """Point a reference at an image that is there, as a push does with a digest."""
        async with self.lock:
            if image.id not in self._rows:
                return
            self._database.save_name(NameRow(str(reference), image.id))
            before = self._names.get(str(reference), image.id)
            self._names[str(reference)] = image.id
            for image_id in {before, image.id}:
                self._refresh(image_id)

    def note_step(self, image: Image, parent_id: str, key: str) -> None:
        """Note of which image, and by what, a build has made another."""
        self.ancestry.add(image.id, parent_id, key)
        self._refresh(image.id)

    def find_step(self, parent_id: str, key: str) -> Image | None:
        """Return the newest image that the same step made of the same image."""
        found = [self._images[image_id] for image_id in self.ancestry.find(parent_id, key)]
        return max(found, key=lambda image: image.created_at, default=None)

    async def tag(self, name: str, repository: str, tag: str) -> None:
        """Give the image one more reference, taking it from another image if need be."""
        image = self.get(name)
        target = parse_reference(f"{repository}:{tag}" if tag else repository)
        if target.digest:
            raise InvalidArgument("refusing to create a tag with a digest reference")
        await self.point(target, image)
        self._events.publish("image", "tag", image.id, {"name": target.familiar})

    async def remove(self, name: str, *, force: bool, prune: bool) -> builtins.list[ImageRemoval]:
        """Untag, and delete the image when that was its last name.

        Raises
        ------
        Conflict
            A container uses it, or an id has names in several repositories; Docker's sentences.
        """
        async with self.lock:
            image = self.get(name)
            reference = self._reference_in_use(name)
            names = [full for full, image_id in self._names.items() if image_id == image.id]
            users = [c for c in self._containers() if c.image_id == image.id]
            has_children = image.id in self.ancestry.parents
            check_removal(
                name, image, names, reference, users, force=force, has_children=has_children
            )
            dropped = names_to_drop(names, reference)
            keeps_names = len(dropped) < len(names)
            is_running = any(c.state.is_running for c in users)
            done = self._untag(image, dropped)
            if not keeps_names and not is_running and not has_children:
                done += await self._delete(image)
                done += await self._delete_parents(image) if prune else []
            return done

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> ImagePrune:
        """Remove the images that no container has: those without a tag, or as the filters say.

        Raises
        ------
        InvalidArgument
            A filter is not known.
        """
        used = {container.image_id for container in self._containers()}
        before = self._layers_by_image()
        removals: builtins.list[ImageRemoval] = []
        for image in images_to_prune([*self._images.values()], filters, used):
            # Name by name and never by force: what a container takes meanwhile, stays.
            for name in (*image.tags, *image.digests) or (image.id,):
                with suppress(ImageNotFound, Conflict):
                    removals += await self.remove(name, force=False, prune=True)
        gone = {key: layers for key, layers in before.items() if key not in self._rows}
        kept = {diff_id for row in self._rows.values() for diff_id, _ in row.layers}
        freed = {key: [each for each in gone[key] if each[0] not in kept] for key in gone}
        return ImagePrune(removals=tuple(removals), freed_bytes=layers_bytes(freed))

    async def _delete_parents(self, image: Image) -> builtins.list[ImageRemoval]:
        """Delete the steps of a build that nothing needs behind the image that was made of them."""
        done: builtins.list[ImageRemoval] = []
        used = {container.image_id for container in self._containers()}
        while image.parent and (above := self._images.get(Digest(image.parent))) is not None:
            if above.tags or above.digests or above.id in self.ancestry.parents or above.id in used:
                break
            if not self.ancestry.is_made(above.id):
                break  # It was pulled, and only lost its names.
            done += await self._delete(above)
            image = above
        return done

    async def collect(self, candidates: Iterable[Digest]) -> builtins.list[Digest]:
        """Delete those layers that no image and no container needs; return them."""
        needed = {d for row in self._rows.values() for d, _ in row.layers}
        needed |= {d for container in self._containers() for d in container.layers}
        unneeded = [diff_id for diff_id in candidates if diff_id not in needed]
        for diff_id in unneeded:
            await asyncio.to_thread(self._layers.delete, diff_id)
        return unneeded

    async def discard_unnamed(self, digests: Iterable[Digest]) -> None:
        """Delete those of these blobs that no image has."""
        async with self.lock:
            named = {blob for row in self._rows.values() for blob in row.blobs}
            for digest in set(digests) - named:
                await asyncio.to_thread(self._content.delete, digest)

    async def collect_everything(self) -> None:
        """Delete the layers and blobs that nothing names: what a crash left behind."""
        await self.collect(self._layers.diff_ids())
        for digest in set(self._content.digests()) - self.named_blobs():
            await asyncio.to_thread(self._content.delete, digest)

    def _untag(self, image: Image, dropped: builtins.list[str]) -> builtins.list[ImageRemoval]:
        done = []
        with self._database.transaction():
            for full in dropped:
                self._database.delete_name(full)
        for full in dropped:
            del self._names[full]
            familiar = parse_reference(full).familiar
            done.append(ImageRemoval(action="untagged", what=familiar))
            self._events.publish("image", "untag", image.id, {"name": familiar})
        self._refresh(image.id)
        return done

    async def _delete(self, image: Image) -> builtins.list[ImageRemoval]:
        row = self._rows[image.id]
        # The record goes first: after a crash in between, the start deletes what nothing names.
        self._database.delete_image(image.id)
        self.ancestry.forget(image.id)
        del self._rows[image.id], self._images[image.id]
        for digest in row.blobs - self.named_blobs():
            await asyncio.to_thread(self._content.delete, digest)
        diff_ids = [diff_id for diff_id, _ in row.layers]
        gone = set(await self.collect(diff_ids))
        self._events.publish("image", "delete", image.id, {"name": image.id})
        chains = zip(diff_ids, chain_ids(diff_ids), strict=True)
        deleted = [
            image.id,
            *(chain for diff_id, chain in reversed(list(chains)) if diff_id in gone),
        ]
        return [ImageRemoval(action="deleted", what=what) for what in deleted]

    # Names

    def _resolve(self, name: str) -> Digest:
        if name.startswith("sha256:") and Digest(name) in self._rows:
            return Digest(name)
        shown = name
        try:
            reference = parse_reference(name)
            shown = reference.familiar
            by_digest = f"{reference.name}@{reference.digest}" if reference.digest else ""
            for full in (str(reference), by_digest):
                if full in self._names:
                    return self._names[full]
        except BadReference:
            pass
        if is_image_id(name):
            prefix = name if name.startswith("sha256:") else f"sha256:{name}"
            found = [image_id for image_id in self._rows if image_id.startswith(prefix)]
            if len(found) == 1:
                return found[0]
        raise ImageNotFound(shown)

    def _reference_in_use(self, name: str) -> str | None:
        """Return the full reference that `name` is, or None when it is an id."""
        try:
            full = str(parse_reference(name))
        except BadReference:
            return None
        return full if full in self._names else None

    def _refresh(self, image_id: Digest) -> None:
        if image_id not in self._rows:
            return
        row = self._rows[image_id]
        config = parse_image_config(self._content.read(image_id, MAX_CONFIG_BYTES), image_id)
        references = sorted(
            (parse_reference(full) for full, owner in self._names.items() if owner == image_id),
            key=str,
        )
        labels = dict((config.config and config.config.labels) or {})
        self._images[image_id] = Image(
            id=image_id,
            created_at=parse_time(config.created),
            tags=tuple(r.familiar for r in references if not r.digest),
            digests=tuple(f"{r.familiar_name}@{r.digest}" for r in references if r.digest),
            size_bytes=sum(size for _, size in row.layers),
            config=config,
            manifest=row.manifest,
            labels=labels,
            parent=self.ancestry.parent(image_id),
            pulled_at=parse_time(row.pulled_at),
        )
