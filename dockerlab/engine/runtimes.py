"""Which OCI runtimes containers may run under: ours, and those that this host has."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

from dockerlab.errors import InvalidArgument, Unsupported

__all__ = ["BUILT_IN", "Runtimes", "find_runtimes"]

BUILT_IN = "dockerlab"
_KNOWN = ("runc", "crun")
# Where runtimes are, whatever the PATH of who has started the engine.
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Runtimes:
    """The programs of other runtimes, by name; `refusal` is why none of them can be used."""

    programs: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""

    @property
    def usable(self) -> Mapping[str, str]:
        """The programs that containers of this engine may run under."""
        return {} if self.refusal else self.programs

    def settle(self, name: str) -> str:
        """Return the name that a container keeps; '' is ours.

        Raises
        ------
        InvalidArgument
            There is no such runtime.
        Unsupported
            There is, but not for this engine.
        """
        if name in ("", BUILT_IN):
            return ""
        if name not in self.programs:
            raise InvalidArgument(
                f"unknown or invalid runtime name: {name}",
                f"there are {', '.join((BUILT_IN, *self.programs))}; name others in config.toml",
            )
        if self.refusal:
            raise Unsupported(f'the runtime "{name}" cannot be used: {self.refusal}')
        return name

    def program(self, name: str) -> str:
        """Return the path of a runtime's program, '' for ours."""
        if name and name not in self.programs:
            raise Unsupported(f'the runtime "{name}" is not on this host any more', "install it")
        return self.programs[name] if name else ""


def find_runtimes(named: Mapping[str, str], *, is_rootless: bool) -> Runtimes:
    """Return what there is on this host.

    Parameters
    ----------
    named : mapping
        Name to path, as the settings have it.
    """
    found = {name: path for name in _KNOWN if (path := shutil.which(name, path=_SYSTEM_PATH))}
    refusal = "an engine without root runs containers by its own runtime only"
    return Runtimes({**found, **named}, refusal if is_rootless else "")
