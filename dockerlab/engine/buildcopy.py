"""COPY and ADD: what is named is found and hashed, and unless the cache has it, made a layer."""

import hashlib
import posixpath
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from dockerlab.engine.buildconfig import join_workdir, nothing_line
from dockerlab.engine.buildfiles import BuildFolder, Found, Placement, layers_of
from dockerlab.engine.buildsteps import Stage, Step, Steps
from dockerlab.engine.commit import Commits
from dockerlab.engine.image import Image
from dockerlab.errors import InvalidArgument, NotFound, Unsupported
from dockerlab.image.build import instructions as kinds
from dockerlab.image.build.glob import has_magic
from dockerlab.image.build.lines import Heredoc, find_heredocs
from dockerlab.image.build.words import expand

__all__ = ["Copier"]

_REMOTE = re.compile(r"(https?|git|ssh|ftp)://|git@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Group:
    """Sources of one place, and what was found there."""

    source: dict[str, Any]
    found: list[Found]


@dataclass(frozen=True, slots=True)
class Copier:
    """Carries out COPY and ADD, and makes the folders of WORKDIR.

    Parameters
    ----------
    find_image : callable
        Returns the image that ``--from`` names.
    """

    files: BuildFolder
    commits: Commits
    find_image: Callable[[str], Awaitable[Image]]
    escape: str

    async def copy(self, stage: Stage, instruction: kinds.Copy, steps: Steps) -> None:
        """Copy, unless the cache has the step.

        Raises
        ------
        InvalidArgument, NotFound
            Docker's sentences of what cannot be copied.
        Unsupported
            ADD of an address.
        """
        name = "ADD" if instruction.is_add else "COPY"
        sources = [expand(word, stage.variables, self.escape) for word in instruction.sources]
        target = expand(instruction.target, stage.variables, self.escape)
        if not target:
            raise InvalidArgument(f"{name} needs a destination that is not empty")
        owner = expand(instruction.owner, stage.variables, self.escape)
        mode = _mode(expand(instruction.mode, stage.variables, self.escape))
        async with self._origin(instruction.origin) as origin:
            groups = await self._find(stage, instruction, sources, origin)
            found = [each for group in groups for each in group.found]
            is_inside = target.endswith(("/", "/.")) or target in (".", "..")
            if len(found) > 1 and not is_inside:
                raise InvalidArgument(
                    f"When using {name} with more than one source file, the destination must be a"
                    " directory and end with a /"
                )
            shown = f"--chown={owner}" if owner else ""
            line = nothing_line(stage.config, f"{name} {shown}{_summary(found)} in {target} ")
            names = "/".join(each.path.rpartition("/")[2] for each in found if not each.is_folder)
            step = Step(line, names if mode is None else f"{names} --chmod={mode:o}")
            if await steps.use(stage, step):
                return
            placement = Placement(
                target=join_workdir(stage.config, target),
                is_inside=is_inside,
                owner=f"{owner}:{owner}" if owner and ":" not in owner else owner,
                keeps_owners=bool(instruction.origin) and not owner,
                mode=mode,
            )
            async with self.files.image_root(layers_of(stage.image)) as root:
                for group in groups:
                    for each in group.found:
                        await self.files.copy(group.source, each, root, placement)
                layer = await self.commits.layer_of(root["overlay"], latest_ns=steps.latest_ns)
        await steps.keep(stage, step, layer)

    async def make_workdir(self, stage: Stage, step: Step, steps: Steps) -> None:
        """Make the working directory, where it is not there, and keep the step."""
        async with self.files.image_root(layers_of(stage.image)) as root:
            await self.files.make_folder(root, stage.config.working_dir or "/")
            layer = await self.commits.layer_of(root["overlay"], latest_ns=steps.latest_ns)
        await steps.keep(stage, step, layer)

    @asynccontextmanager
    async def _origin(self, origin: str) -> AsyncIterator[dict[str, Any]]:
        if not origin:
            yield self.files.context
            return
        image = await self.find_image(origin)
        async with self.files.image_root(layers_of(image)) as root:
            yield root

    async def _find(
        self,
        stage: Stage,
        instruction: kinds.Copy,
        sources: Sequence[str],
        origin: dict[str, Any],
    ) -> list[_Group]:
        """Return what the sources mean; the texts of heredocs are sources too."""
        waiting = list(instruction.heredocs)
        texts: list[tuple[str, str]] = []
        patterns: list[str] = []
        for written, source in zip(instruction.sources, sources, strict=True):
            if waiting and any(match[0] == written for match in find_heredocs(written)):
                texts.append(self._text(stage, waiting.pop(0)))
                continue
            patterns.append(_checked(source, instruction))
        groups = []
        if patterns:
            found = await self.files.find(origin, patterns, finds_archives=instruction.is_add)
            _check_found(sources if not texts else patterns, patterns, found, instruction)
            groups.append(_Group(origin, found))
        if texts:
            source_of_texts = self.files.keep_texts(texts)
            names = [name for name, _ in texts]
            found = await self.files.find(source_of_texts, names, finds_archives=False)
            groups.append(_Group(source_of_texts, found))
        return groups

    def _text(self, stage: Stage, heredoc: Heredoc) -> tuple[str, str]:
        text = heredoc.text
        if heredoc.expands:
            text = expand(_quoted(text, self.escape), stage.variables, self.escape)
        return heredoc.name, text


def _quoted(text: str, escape: str) -> str:
    """Return a text whose quotes stay when it is expanded: they mean nothing in a heredoc."""
    return re.sub(r"[\"']", lambda match: escape + match[0], text)


def _checked(source: str, instruction: kinds.Copy) -> str:
    """Refuse what is not below the context; return a path from its root."""
    if instruction.is_add and _REMOTE.match(source):
        raise Unsupported(
            f'ADD of "{source}" is not supported: fetch it in a RUN with --network host, or put it'
            " into the context"
        )
    clean = posixpath.normpath(source.lstrip("/") or ".")
    if clean == ".." or clean.startswith("../"):
        if not instruction.origin:
            raise InvalidArgument(
                f"{'ADD' if instruction.is_add else 'COPY'} failed: forbidden path outside the"
                f" build context: {source} ()"
            )
        clean = posixpath.normpath("/" + clean).lstrip("/") or "."
    return clean


def _check_found(
    sources: Sequence[str],
    patterns: Sequence[str],
    found: Sequence[Found],
    instruction: kinds.Copy,
) -> None:
    name = "ADD" if instruction.is_add else "COPY"
    there = {each.pattern for each in found}
    for number, pattern in enumerate(patterns):
        if number in there:
            continue
        if has_magic(pattern):
            if not found:
                raise InvalidArgument(f"{name} failed: no source files were specified")
            continue
        why = (
            ""
            if instruction.origin
            else ("file not found in build context or excluded by .dockerignore: ")
        )
        raise NotFound(f"{name} failed: {why}stat {sources[number]}: file does not exist")


def _summary(found: Sequence[Found]) -> str:
    """Return the digest of all sources, as the history has it."""
    each = [f"{'dir' if source.is_folder else 'file'}:{source.digest}" for source in found]
    if len(each) == 1:
        return each[0]
    names = "\n".join(f"{one} {source.path}" for one, source in zip(each, found, strict=True))
    return "multi:" + hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()


def _mode(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-7]{1,4}", text, re.ASCII):
        raise InvalidArgument(f'invalid chmod parameter: "{text}" is not octal, as 755')
    return int(text, 8)
