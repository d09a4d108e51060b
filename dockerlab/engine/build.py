"""The record of a build: what a client asks for, and what it is told."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from dockerlab.engine.container import HostConfig
from dockerlab.engine.registry import Credential
from dockerlab.image.progress import PullProgress

__all__ = ["BuildRequest", "Tell"]

# Takes a text for the client, or a line of a pull, and returns when there is room for the next.
Tell = Callable[[str | PullProgress], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What ``POST /build`` asks for, its context apart (Engine API, ImageBuild).

    Parameters
    ----------
    dockerfile : str
        Its path in the context.
    tags : tuple of str
        What the image is to be called.
    build_args : mapping
        Values of ARG; None is a name without a value.
    labels : mapping
        Labels of the image.
    target : str
        The stage that is built; '' the last.
    cache_from : tuple of str
        Images whose layers may be used again.
    no_cache, pull : bool
        Use nothing again; ask the registry for every base.
    removes, always_removes : bool
        Whether the containers of steps that succeed, of all steps, are removed.
    platform : str
        What bases are for; '' this host's.
    host : HostConfig
        Limits and network of the containers of RUN.
    credentials : mapping
        By registry, as clients write it.
    """

    dockerfile: str = "Dockerfile"
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    cache_from: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    removes: bool = True
    always_removes: bool = False
    platform: str = ""
    host: HostConfig = field(default_factory=HostConfig)
    credentials: Mapping[str, Credential] = field(default_factory=dict)
