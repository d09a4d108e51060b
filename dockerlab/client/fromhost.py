"""Make an image of this machine's programs and put it into the engine.

A hub of its own makes it, as a process (``python -m dockerlab.hub``, of which only the command line
is known here), and the engine pulls it from there, as from any registry. `image_from_host` is the
way in.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dockerlab.client.autostart import daemon_environment
from dockerlab.client.pull import PullLine, pull
from dockerlab.client.refusals import engine_errors
from dockerlab.client.session import Session
from dockerlab.errors import BadReference, EngineFailure, InvalidArgument
from dockerlab.oci.reference import DOCKER_HUB, Reference, parse_reference

__all__ = ["HostImage", "check_name", "hub_command", "image_from_host"]

HUB_END_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostImage:
    """The image that was made: its reference as people type it, its id, its size in bytes."""

    reference: str
    image_id: str
    size_bytes: int


def hub_command(*arguments: str) -> list[str]:
    """Return the command line of a hub that serves images, as a process of its own."""
    return [sys.executable, "-m", "dockerlab.hub", "serve", *arguments]


def check_name(text: str) -> Reference:
    """Return the reference for an image that is made here.

    Raises
    ------
    BadReference
        Outside the grammar, of another registry, or with a digest.
    """
    reference = parse_reference(text)
    if reference.digest is not None or reference.registry != DOCKER_HUB:
        raise BadReference(
            f'cannot call an image "{text}": expected NAME[:TAG], without a registry or a digest'
        )
    return reference


def image_from_host(
    session: Session,
    name: str,
    programs: Sequence[str],
    *,
    added: Sequence[str] = (),
    with_python: bool = False,
    on_progress: Callable[[PullLine], None] | None = None,
) -> HostImage:
    """Make an image of programs with their libraries, and tag it in the engine.

    Parameters
    ----------
    session : Session
        The engine, on this machine.
    name : str
        ``NAME[:TAG]``.
    programs : sequence of str
        Names on PATH, or paths.
    added : sequence of str
        Paths of further files and folders.
    with_python : bool
        Python with its standard library, too.
    on_progress : callable, optional
        Is given every line of the pull.

    Raises
    ------
    BadReference
        The name is outside the grammar.
    InvalidArgument
        Nothing is asked for, or a program or file is not there; names near to it are said.
    EngineFailure, RegistryUnreachable, …
        As a pull does; nothing is stored then.
    """
    wanted = check_name(name)
    if not (programs or added or with_python):
        raise InvalidArgument(f'there is nothing to make "{name}" of: name a program, as sh')
    options = [f"--from-host={wanted.familiar_name}", *(f"--add={path}" for path in added)]
    options += ["--python"] if with_python else []
    with _hub([*options, "--", *programs]) as made, engine_errors(session.address):
        source = f"{made['address']}/{made['repository']}"
        pull(session, source, on_progress)
        image = session.api.inspect_image(source)
        session.api.tag(image["Id"], wanted.familiar_name, wanted.tag)
        # Only the name goes; the image has another one now.
        session.api.remove_image(source)
    return HostImage(reference=wanted.familiar, image_id=image["Id"], size_bytes=int(image["Size"]))


@contextmanager
def _hub(options: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Run a hub that has made one image; it ends with its standard input, whatever happens here."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "dockerlab.hub", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**daemon_environment()},
    )
    try:
        if process.stdout is None:
            raise EngineFailure("the hub was started without an output")
        line = process.stdout.readline()
        made = json.loads(line) if line else {"error": "the hub ended without an answer"}
        if "error" in made:
            raise InvalidArgument(made["error"], hint=made.get("hint", ""))
        yield made
    finally:
        for stream in filter(None, (process.stdin, process.stdout)):
            stream.close()
        try:
            process.wait(HUB_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
