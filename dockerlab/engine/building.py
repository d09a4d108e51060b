"""One build: its stages in their order, each instruction dispatched to who carries it out.

Read `Building.run`, then `_stage`, then `_carry_out`. What is said to the client is what Docker's
classic builder says.
"""

from dataclasses import dataclass

import msgspec

from dockerlab.engine.bases import Bases
from dockerlab.engine.build import BuildRequest, Tell
from dockerlab.engine.buildargs import BuildArguments, platform_arguments
from dockerlab.engine.buildconfig import change, nothing_line, variables_of
from dockerlab.engine.buildcopy import Copier
from dockerlab.engine.buildfiles import BuildFolder
from dockerlab.engine.buildrun import Runner
from dockerlab.engine.buildsteps import Stage, Step, Steps
from dockerlab.engine.commit import Commits
from dockerlab.engine.image import Image
from dockerlab.errors import InvalidArgument
from dockerlab.image.build import instructions as kinds
from dockerlab.image.build.dockerfile import parse_trigger
from dockerlab.image.build.words import expand
from dockerlab.oci.digest import short
from dockerlab.oci.imageconfig import RunConfig
from dockerlab.oci.platform import host_platform, parse_platform

__all__ = ["Building", "Crew", "chosen_stages"]

_SCRATCH = "scratch"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Crew:
    """Who carries out the instructions of one build."""

    files: BuildFolder
    commits: Commits
    runner: Runner
    steps: Steps


class Building:
    """A Dockerfile being carried out.

    Parameters
    ----------
    request : BuildRequest
        What was asked for.
    dockerfile : Dockerfile
        Parsed.
    """

    def __init__(
        self,
        request: BuildRequest,
        dockerfile: kinds.Dockerfile,
        bases: Bases,
        crew: Crew,
        tell: Tell,
    ) -> None:
        self._request = request
        self._dockerfile = dockerfile
        self._bases = bases
        self._runner = crew.runner
        self._steps = crew.steps
        self._copier = Copier(crew.files, crew.commits, self.find_image, dockerfile.escape)
        self._tell = tell
        self._stages = chosen_stages(dockerfile, request.target)
        self._done: list[Image] = []
        self._used: set[str] = set()
        self._at = 0
        labels = tuple(sorted(request.labels.items()))
        words = " ".join(f"{name}={value}" for name, value in labels)
        self._labels = kinds.Label(text=f"LABEL {words}", pairs=labels, is_plain=True)
        counted = sum(len(stage.instructions) + 1 for stage in self._stages)
        self._count = counted + len(dockerfile.global_args) + bool(labels)

    async def run(self) -> Image:
        """Build; return the image of the last stage.

        Raises
        ------
        DockerlabError
            A step failed; those before it are in the cache.
        """
        for warning in self._dockerfile.warnings:
            await self._tell(f"{warning}\n")
        everywhere = await self._global_arguments()
        for number, stage in enumerate(self._stages):
            is_last = number == len(self._stages) - 1
            self._done.append(await self._stage(stage, everywhere, is_last=is_last))
        unused = sorted(self._request.build_args.keys() - self._used)
        if unused:
            await self._tell(
                f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n"
            )
        return self._done[-1]

    async def find_image(self, name: str) -> Image:
        """Return the image that ``COPY --from`` means: a stage by name or number, or any image."""
        number = self._stage_number(name)
        if number is not None:
            return self._done[number]
        return await self._bases.find(name, self._request.platform)

    def _stage_number(self, name: str) -> int | None:
        for number in reversed(range(len(self._done))):
            if self._stages[number].name == name.lower():
                return number
        if name.isdecimal() and len(name) < 5:  # noqa: PLR2004 - there are less stages than that
            if int(name) >= len(self._done):
                raise InvalidArgument(
                    f"invalid from flag value {name}: it is no stage before this one"
                )
            return int(name)
        return None

    async def _global_arguments(self) -> dict[str, str]:
        target = parse_platform(self._request.platform) if self._request.platform else None
        host = host_platform()
        everywhere = platform_arguments(host, target or host)
        arguments = BuildArguments(self._request.build_args, {}, self._used)
        for instruction in self._dockerfile.global_args:
            await self._announce(instruction.text)
            _declare(arguments, instruction, everywhere | arguments.values, self._dockerfile.escape)
            everywhere |= arguments.values
        return everywhere

    async def _announce(self, text: str) -> None:
        self._at += 1
        await self._tell(f"Step {self._at}/{self._count} : {text}\n")

    async def _stage(
        self, stage: kinds.Stage, everywhere: dict[str, str], *, is_last: bool
    ) -> Image:
        await self._announce(stage.text)
        place = await self._begin(stage, everywhere)
        instructions = stage.instructions
        for trigger in self._take_triggers(place):
            await self._carry_out(place, trigger)
        for instruction in instructions:
            await self._announce(instruction.text)
            await self._carry_out(place, instruction)
        if is_last and self._labels.pairs:
            await self._announce(self._labels.text)
            await self._carry_out(place, self._labels)
        if place.image is None:
            raise InvalidArgument("No image was generated. Is your Dockerfile empty?")
        return place.image

    async def _begin(self, stage: kinds.Stage, everywhere: dict[str, str]) -> Stage:
        name = expand(stage.base, everywhere, self._dockerfile.escape)
        if not name:
            raise InvalidArgument(f"base name ({stage.base}) should not be blank")
        platform = expand(stage.platform, everywhere, self._dockerfile.escape)
        platform = platform or self._request.platform
        image = None
        if name != _SCRATCH:
            number = next(
                (
                    n
                    for n in reversed(range(len(self._done)))
                    if self._stages[n].name == name.lower()
                ),
                None,
            )
            image = await self._bases.find(name, platform) if number is None else self._done[number]
        config = (image.config.config if image else None) or RunConfig()
        if "PATH" not in variables_of(config):
            config = msgspec.structs.replace(config, env=(*(config.env or ()), _PATH))
        await self._tell(f" ---> {short(image.id) if image else ''}\n")
        return Stage(
            image=image,
            config=config,
            arguments=BuildArguments(self._request.build_args, everywhere, self._used),
            platform=parse_platform(platform) if platform else host_platform(),
        )

    def _take_triggers(self, place: Stage) -> list[kinds.Instruction]:
        """Return what the base wants done in images on it; it does not pass to theirs."""
        triggers = [parse_trigger(text) for text in place.config.on_build or ()]
        place.config = msgspec.structs.replace(place.config, on_build=None)
        return triggers

    async def _carry_out(self, place: Stage, instruction: kinds.Instruction) -> None:
        escape = self._dockerfile.escape
        if isinstance(instruction, kinds.Run):
            await self._runner.run(place, instruction, self._steps, self._request, self._tell)
            return
        if isinstance(instruction, kinds.Copy):
            await self._copier.copy(place, instruction, self._steps)
            return
        if isinstance(instruction, kinds.Arg):
            words = _declare(place.arguments, instruction, place.variables, escape)
            comment = f" ARG {' '.join(words)}"
        else:
            changed = change(
                instruction, place.config, place.variables, escape=escape, has_cmd=place.has_cmd
            )
            place.config, comment = changed.config, changed.comment
        if isinstance(instruction, kinds.Maintainer):
            place.author = instruction.name
        if isinstance(instruction, kinds.Command) and not instruction.is_entrypoint:
            place.has_cmd = True
        step = Step(nothing_line(place.config, comment))
        if await self._steps.use(place, step):
            return
        if isinstance(instruction, kinds.Workdir):
            await self._copier.make_workdir(place, step, self._steps)
        else:
            await self._steps.keep(place, step)


def chosen_stages(dockerfile: kinds.Dockerfile, target: str) -> tuple[kinds.Stage, ...]:
    """Return the stages up to the target; all without one.

    Raises
    ------
    InvalidArgument
        There is no such stage.
    """
    if not target:
        return dockerfile.stages
    for number, stage in enumerate(dockerfile.stages):
        if stage.name == target.lower() or target == str(number):
            return dockerfile.stages[: number + 1]
    raise InvalidArgument(f"failed to reach build target {target} in Dockerfile")


def _declare(
    arguments: BuildArguments, instruction: kinds.Arg, variables: dict[str, str], escape: str
) -> list[str]:
    """Declare arguments; return them as the history has them."""
    words = []
    for name, default in instruction.pairs:
        value = None if default is None else expand(default, variables, escape)
        arguments.declare(name, value)
        words.append(name if value is None else f"{name}={value}")
        variables = variables | arguments.values
    return words
