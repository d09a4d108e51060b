"""The values of ARG while a build goes on: which are given, which are declared, and where. Pure.

Reference: https://docs.docker.com/reference/dockerfile/, "ARG", its scopes and predefined names.
"""

from collections.abc import Mapping

from dockerlab.oci.platform import Platform

__all__ = ["BuildArguments", "platform_arguments"]

# Given without a declaration, they reach RUN and are no part of what is compared for the cache.
_PROXIES = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
_UNDECLARED = _PROXIES | {"SOURCE_DATE_EPOCH"}


class BuildArguments:
    """The arguments of one stage.

    Parameters
    ----------
    given : mapping
        What the client says; None is a name without a value.
    everywhere : mapping
        What the lines before the first FROM say, and the platforms: a stage gets them by name.
    used : set of str
        Names of `given` that were asked for are added.
    """

    def __init__(
        self, given: Mapping[str, str | None], everywhere: Mapping[str, str], used: set[str]
    ) -> None:
        self._given = given
        self._everywhere = everywhere
        self._used = used
        self._declared: dict[str, str] = {}
        used |= _UNDECLARED & given.keys()

    def declare(self, name: str, default: str | None) -> None:
        """Take an ARG into account; its default has its variables replaced."""
        self._used.add(name)
        value = self._given.get(name)
        if value is None:
            value = default if default is not None else self._everywhere.get(name)
        if value is not None:
            self._declared[name] = value

    @property
    def values(self) -> dict[str, str]:
        """What is declared and has a value."""
        return dict(self._declared)

    @property
    def proxies(self) -> dict[str, str]:
        """The proxies that the client gives without a declaration."""
        return {
            name: value
            for name, value in self._given.items()
            if value is not None and name in _PROXIES and name not in self._declared
        }


def platform_arguments(build: Platform, target: Platform) -> dict[str, str]:
    """Return the arguments that tell of platforms, which a stage has when it declares them."""
    found: dict[str, str] = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        found |= {
            f"{prefix}PLATFORM": str(platform),
            f"{prefix}OS": platform.os,
            f"{prefix}ARCH": platform.architecture,
            f"{prefix}VARIANT": platform.variant,
        }
    return found
