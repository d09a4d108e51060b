"""Every error of dockerlab, by kind.

::

    DockerlabError
    ├── InvalidArgument            the input cannot be right
    │   ├── BadReference           not an image reference
    │   ├── BadDigest              not a digest, or bytes that do not have it
    │   └── CommandFailed          a command of a Dockerfile did not end with 0
    ├── Unauthorized               a registry wants credentials
    ├── Forbidden                  a policy or a registry says no
    ├── NotFound                   a name does not resolve
    │   ├── ContainerNotFound
    │   ├── ImageNotFound          in the local store
    │   ├── ManifestNotFound       in a registry
    │   ├── ExecNotFound
    │   └── VolumeNotFound
    ├── Conflict                   the state of the object forbids it now
    ├── NotModified                the object is already in that state
    ├── Cancelled                  whoever asked for it does not want it any more
    ├── Unsupported                this host, tier or build cannot; says what would lift it
    ├── Unavailable                somebody we depend on does not answer
    │   └── RegistryUnreachable    no connection, no name, no answer in time
    └── EngineFailure              our fault, or the kernel's refusal
        └── StartFailure           a container could not be started: step, path and errno
            ├── CommandNotExecutable   EACCES, EISDIR or ENOEXEC at execve
            └── CommandNotFound        ENOENT at execve

Kinds are behaviours: nothing below the daemon names an HTTP status, nothing above a room reads the
text of an error to find out what happened. A message is one sentence in lower case with its values
in double quotes: what failed, on what, why, and what to do.
"""

__all__ = [
    "BadDigest",
    "BadReference",
    "Cancelled",
    "CommandFailed",
    "CommandNotExecutable",
    "CommandNotFound",
    "Conflict",
    "ContainerNotFound",
    "DockerlabError",
    "EngineFailure",
    "ExecNotFound",
    "Forbidden",
    "ImageNotFound",
    "InvalidArgument",
    "ManifestNotFound",
    "NotFound",
    "NotModified",
    "RegistryUnreachable",
    "StartFailure",
    "Unauthorized",
    "Unavailable",
    "Unsupported",
    "VolumeNotFound",
]


class DockerlabError(Exception):
    """Base of every error that dockerlab raises on purpose.

    Parameters
    ----------
    message : str
        One sentence for the user.
    hint : str
        What to do next; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def _render_traceback_(self) -> list[str]:
        """Give IPython the lines that it shows in place of a traceback.

        IPython uses this hook for any exception that has it; `%tb` still shows everything.
        """
        return [f"{self.message}"] + ([f"hint: {self.hint}"] if self.hint else [])


class InvalidArgument(DockerlabError):
    """The input cannot be right, whatever the state."""


class BadReference(InvalidArgument):
    """The text is not an image reference."""


class BadDigest(InvalidArgument):
    """The text is not a digest, or the bytes do not have the digest that was promised."""


class CommandFailed(InvalidArgument):
    """A command of a Dockerfile ended with another status than 0.

    Parameters
    ----------
    message : str
        One sentence.
    exit_code : int
        The status.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Unauthorized(DockerlabError):
    """A registry wants credentials that it was not given, or refuses those it got."""


class Forbidden(DockerlabError):
    """A policy, ours or a registry's, says no."""


class NotFound(DockerlabError):
    """A name does not resolve."""


class ContainerNotFound(NotFound):
    """No container has this name or id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No such container: {name}")


class ImageNotFound(NotFound):
    """No image in the local store has this reference or id.

    Clients recognise the phrase ``No such image``.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"No such image: {name}")


class ManifestNotFound(NotFound):
    """The registry has no such repository or no such tag."""


class ExecNotFound(NotFound):
    """No exec instance has this id."""

    def __init__(self, exec_id: str) -> None:
        super().__init__(f"No such exec instance: {exec_id}")


class VolumeNotFound(NotFound):
    """No volume has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"get {name}: no such volume")


class Conflict(DockerlabError):
    """The state of the object forbids the operation now."""


class NotModified(DockerlabError):
    """The object is already in the state that was asked for."""


class Cancelled(DockerlabError):
    """Whoever asked for the operation does not want it any more."""


class Unsupported(DockerlabError):
    """Not possible with this host, tier or build; the hint says what would lift that."""


class Unavailable(DockerlabError):
    """Something that we depend on does not answer."""


class RegistryUnreachable(Unavailable):
    """The registry gave no answer: no name, no connection, or none in time."""


class EngineFailure(DockerlabError):
    """Our own fault, or a refusal of the kernel."""


class StartFailure(EngineFailure):
    """A container's process could not be started.

    Parameters
    ----------
    message : str
        One sentence.
    step : str
        The step of the start that failed, as `runtime.protocol` names it.
    errno : int
        The kernel's reason; 0 when there is none.
    """

    exit_code = 125

    def __init__(self, message: str, *, step: str = "", errno: int = 0, hint: str = "") -> None:
        super().__init__(message, hint)
        self.step = step
        self.errno = errno


class CommandNotExecutable(StartFailure):
    """The program is there but may not be executed."""

    exit_code = 126


class CommandNotFound(StartFailure):
    """The program is not in the container."""

    exit_code = 127
