"""Platforms: the system and processor that a manifest is for.

See image-spec/image-index.md. Docker's spellings of processors are normalised to Go's.
"""

import os
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from dockerlab.errors import InvalidArgument, ManifestNotFound

__all__ = ["Platform", "choose", "host_platform", "parse_platform"]

_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm"}


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An operating system, an architecture in Go's spelling, and its variant (``v8``) or ''."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class _ForPlatform(Protocol):
    @property
    def platform(self) -> Platform | None:
        """What it is for."""
        ...


Candidate = TypeVar("Candidate", bound=_ForPlatform)


def host_platform(machine: str | None = None) -> Platform:
    """Return the platform of this host (`machine`: as ``uname -m`` prints it)."""
    machine = os.uname().machine if machine is None else machine
    return Platform(os="linux", architecture=_ARCHITECTURES.get(machine, machine))


def parse_platform(text: str) -> Platform:
    """Parse ``os/arch[/variant]`` or a lone architecture, as ``docker --platform`` takes it.

    Raises
    ------
    InvalidArgument
        More than three parts, or an empty one.

    Examples
    --------
    >>> str(parse_platform("linux/aarch64"))
    'linux/arm64'
    """
    parts = text.lower().split("/")
    if parts == ["linux"]:
        parts = ["linux", host_platform().architecture]
    elif len(parts) == 1:
        parts = ["linux", *parts]
    match parts:
        case [system, machine, *variant] if all(parts) and len(variant) <= 1:
            architecture = _ARCHITECTURES.get(machine, machine)
            return Platform(os=system, architecture=architecture, variant="".join(variant))
    raise InvalidArgument(f'invalid platform "{text}": expected os/architecture, as linux/amd64')


def choose(candidates: Sequence[Candidate], wanted: Platform, name: str) -> Candidate:
    """Return the first candidate for `wanted`, an exact variant before a missing one.

    Raises
    ------
    ManifestNotFound
        None is for it; the message lists what there is.
    """
    fitting = [
        candidate
        for candidate in candidates
        if (has := candidate.platform) is not None
        and (has.os, _ARCHITECTURES.get(has.architecture, has.architecture))
        == (wanted.os, wanted.architecture)
        and (not wanted.variant or has.variant in ("", wanted.variant))
    ]
    exact = [c for c in fitting if c.platform and c.platform.variant == wanted.variant]
    if not fitting:
        there = ", ".join(sorted({str(c.platform) for c in candidates if c.platform})) or "none"
        raise ManifestNotFound(
            f'no matching manifest for {wanted} in the manifest list of "{name}": it has {there}',
        )
    return (exact or fitting)[0]
